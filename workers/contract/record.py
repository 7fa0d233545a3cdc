"""The record of a job: the fold of its events. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, assert_never, get_args

from workers.contract import events as e
from workers.contract.jobs import Asked, Job, Outcome

FinalState = Literal["succeeded", "failed", "cancelled", "denied", "expired", "lost"]
State = Literal["reserved", "awaiting_approval", "queued", "waiting", "running", FinalState]
FINAL: frozenset[str] = frozenset(get_args(FinalState))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a job. `seconds` is None while it runs. `note` is its result, or the reason for skipping it."""

    name: str
    state: Literal["running", "done", "skipped", "failed"]
    started_at_s: float
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The state of a job, its progress and its result.

    `seq` counts the job's events, including transient ones, and so grows with every change. `reason` and `advice`
    explain a failure or a retry. `ended_by` is the person who denied or cancelled the job. `unreadable` is the reason
    why this release cannot read the record, or "". Of such a record only the fields up to `state` are known.
    """

    id: str
    job: Job
    asked: Asked
    seq: int = 0
    state: State = "reserved"
    attempt: int = 0
    took_over: bool = False
    started_at_s: float | None = None
    ended_at_s: float | None = None
    approval: e.ApprovalRequested | None = None
    approved_by: tuple[str, ...] = ()
    waits_for: str | None = None
    steps: tuple[Step, ...] = ()
    progress: e.Progressed | None = None
    measured: e.Measured | None = None
    scalings: tuple[e.Scaled, ...] = ()
    identities: tuple[tuple[str, str], ...] = ()
    cancel_by: str | None = None
    outcome: Outcome | None = None
    reason: str = ""
    advice: str = ""
    ended_by: str | None = None
    unreadable: str = ""

    @property
    def final(self) -> bool:
        """Return True if the job has ended. A final record never changes."""
        return self.state in FINAL


class ImpossibleHistory(ValueError):
    """Events that no job can have in this order. The message names the first impossible one."""


def fold(record: Record, events: Iterable[e.Event]) -> Record:
    """Return `record` after `events`, in order. Raises ImpossibleHistory.

    After the end of a job, only transient events are possible: the queue stores the newest of them apart.
    """
    for event in events:
        if not record.final:
            _check_order(record, event)
            record = _apply(record, event)
        elif not isinstance(event, e.TRANSIENT):
            raise ImpossibleHistory(f"{event.kind} after the end")
    return record


def _check_order(record: Record, event: e.Event) -> None:
    """Raise ImpossibleHistory if `event` cannot follow the earlier ones."""
    match event:
        case e.Approved() | e.Denied() | e.Expired():
            possible = record.state == "awaiting_approval"
        case e.Started():
            possible = event.attempt > record.attempt
        case e.StepFinished():
            running = [step.name for step in record.steps if step.state == "running"]
            possible = running[-1:] == [event.step]
        case e.StepStarted() | e.StepSkipped() | e.Succeeded() | e.Lost():
            possible = record.state == "running"
        case _:
            possible = True
    if not possible:
        raise ImpossibleHistory(f"{event.kind} while {record.state}")


def _apply(record: Record, event: e.Event) -> Record:
    match event:
        case e.ApprovalRequested():
            return replace(record, state="awaiting_approval", approval=event, approved_by=())
        case e.Approved():
            return replace(record, approved_by=(*record.approved_by, event.by))
        case e.Denied():
            return replace(record, state="denied", ended_at_s=event.at_s, ended_by=event.by)
        case e.Expired():
            return replace(record, state="expired", ended_at_s=event.at_s)
        case e.Queued():
            return replace(record, state="queued", waits_for=None)
        case e.Waiting():
            return replace(record, state="waiting", waits_for=event.behind)
        case e.Started():
            return _apply_start(record, event)
        case e.StepStarted() | e.StepFinished() | e.StepSkipped():
            return replace(record, steps=_apply_step(record.steps, event), progress=None)
        case e.Progressed():
            running = bool(record.steps) and record.steps[-1].name == event.step and record.steps[-1].state == "running"
            return replace(record, progress=event) if running else record
        case e.Measured():
            return replace(record, measured=event)
        case e.Scaled():
            return replace(record, scalings=(*record.scalings, event))
        case e.Identified():
            return replace(record, identities=(*record.identities, (event.what, event.identity)))
        case e.CancelRequested():
            return replace(record, cancel_by=event.by)
        case e.Requeued():
            return replace(record, state="queued", reason=event.reason)
        case e.Logged() | e.Attached():
            return record
        case e.Succeeded() | e.Failed() | e.Cancelled() | e.Lost():
            return _apply_end(record, event)
        case _:
            assert_never(event)


def _apply_start(record: Record, event: e.Started) -> Record:
    """Reset the steps: a new attempt repeats the work of the earlier ones, or finds it again."""
    return replace(
        record,
        state="running",
        attempt=event.attempt,
        took_over=record.took_over or event.took_over,
        started_at_s=record.started_at_s or event.at_s,
        waits_for=None,
        steps=(),
        progress=None,
        measured=None,
        reason="",
    )


def _apply_step(steps: tuple[Step, ...], event: e.StepEvent) -> tuple[Step, ...]:
    match event:
        case e.StepStarted():
            return (*steps, Step(name=event.step, state="running", started_at_s=event.at_s))
        case e.StepSkipped(at_s=at_s):
            return (*steps, Step(name=event.step, state="skipped", started_at_s=at_s, seconds=0.0, note=event.reason))
        case e.StepFinished():
            *before, last = steps
            return (*before, replace(last, state="done", seconds=event.at_s - last.started_at_s, note=event.fact))


def _apply_end(record: Record, event: e.EndEvent) -> Record:
    steps = tuple(
        replace(step, state="failed", seconds=event.at_s - step.started_at_s) if step.state == "running" else step
        for step in record.steps
    )
    record = replace(record, state=event.kind, steps=steps, progress=None, ended_at_s=event.at_s)
    match event:
        case e.Succeeded():
            return replace(record, outcome=event.outcome, reason="")
        case e.Failed():
            return replace(record, reason=event.reason, advice=event.advice)
        case e.Cancelled():
            return replace(record, ended_by=event.by)
        case e.Lost():
            return replace(record, reason=event.reason)
