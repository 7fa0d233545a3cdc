"""The frame of every job's card: title, waiting reason, steps, footer and buttons. Pure.

`bot.card_poster` renders records with it. A kind's own parts come from the kind's `CARD`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from typing import Any

from bot.blocks import Block, Button, Message, actions, context, date, escape, message, person, section
from bot.cards.kind import Card
from workers.contract.events import Progressed
from workers.contract.formatting import show_duration
from workers.contract.jobs import KINDS, Job, Outcome
from workers.contract.record import Record, State, Step
from workers.contract.wire import JOB

_CARDS: Mapping[str, Card[Any, Any]] = {kind: import_module(f"bot.cards.{kind}").CARD for kind in KINDS}
_NO_PARTS: Card[Any, Any] = Card()
"""Of a job that this release cannot read."""
_STATES: dict[State, tuple[str, str]] = {
    "reserved": (":white_circle:", "accepted"),
    "awaiting_approval": (":large_yellow_circle:", "waits for approval"),
    "queued": (":white_circle:", "queued"),
    "waiting": (":white_circle:", "queued"),
    "running": (":large_blue_circle:", "running"),
    "succeeded": (":large_green_circle:", "done"),
    "failed": (":red_circle:", "failed"),
    "cancelled": (":black_circle:", "cancelled"),
    "denied": (":black_circle:", "denied"),
    "expired": (":black_circle:", "expired"),
    "lost": (":red_circle:", "lost"),
}
_MARKS = {"running": "▸", "done": "✓", "skipped": "–", "failed": "✗"}
_BAR_CELLS = 20
_SHOWN_FROM_S = 0.01
"""Shorter steps show no duration."""


def card_of(job: Job) -> Card[Any, Any]:
    """Return the parts of the card that depend on the job's kind."""
    return _CARDS.get(job.kind, _NO_PARTS)


def render(record: Record, *, ahead: Record | None = None, alone: bool = False, change: str = "") -> Message:
    """Render the card of `record`. `ahead` is the job that it waits for, if any. `alone`: no worker is alive.

    `change` compares what runs now with what would run, for the approvers.
    """
    job, outcome, kind = record.job, record.outcome, card_of(record.job)
    if record.unreadable:
        return message([section(f"{sign(record)} *{escape(title(job))}* · {status(record)}"), *_unreadable(record)])
    blocks = [section(f"{sign(record)} *{escape(title(job))}* · {status(record)}")]
    if reason := _waiting_reason(record, ahead, change):
        blocks.append(section(reason))
    if alone and record.state in ("queued", "waiting", "running"):
        blocks.append(section(":warning: No worker is alive. Start one with `seatrial worker`; the job then goes on."))
    if outcome:
        blocks += kind.report(job, outcome)
    if record.steps:
        blocks.append(section("\n".join(_step_lines(record))))
    blocks += kind.live(record)
    if outcome and (sentence := kind.sentence(outcome)):
        blocks.append(section(sentence))
    if record.state in ("failed", "lost"):
        advice = f"\n{escape(record.advice)}" if record.advice else ""
        blocks.append(section(f"*{escape(record.reason)}*{advice}"))
    blocks.append(context(_footer(record)))
    if buttons := _buttons(record, ahead):
        blocks.append(actions([replace(button, value=reference(record)) for button in buttons]))
    return message(blocks)


def _unreadable(record: Record) -> list[Block]:
    """Return the rest of the card of a record that this release cannot read."""
    now = f"Its state in the queue is {_STATES[record.state][1]}."
    advice = "A bot of the release that wrote it shows it, and a worker of that release runs it."
    return [section(f"This bot cannot read job #{record.id}. {now}\n{advice}"), context(_footer(record))]


def reference(record: Record) -> str:
    """Return the value of each button on a card: the job's id, and a digest of what the card asks people to decide.

    The digest is of the job, the time of the request and the rule for its approvals. A button of another job with the
    same id, or of an earlier rule, has another value.
    """
    rule = record.approval and (record.approval.count, record.approval.approvers, record.approval.own)
    job = "" if record.unreadable else JOB.encode(record.job).decode()
    content = f"{job} {record.asked.at_s} {rule}"
    return f"{record.id}:{sha256(content.encode()).hexdigest()[:16]}"


def title(job: Job) -> str:
    """Return the job's summary with a capital, without mark-up."""
    return job.summary[0].upper() + job.summary[1:]


def sign(record: Record) -> str:
    """Return the coloured circle for the job's state or verdict."""
    if record.unreadable:
        return ":grey_question:"
    return card_of(record.job).verdict(record.outcome)[0] if record.outcome else _STATES[record.state][0]


def status(record: Record) -> str:
    """Return the job's state or verdict in a few words."""
    if record.unreadable:
        return "written by another release"
    if record.outcome:
        return card_of(record.job).verdict(record.outcome)[1]
    if record.cancel_by and not record.final:
        return "stopping"
    behind = f" behind #{record.waits_for}" if record.state == "waiting" and record.waits_for else ""
    return f"{_STATES[record.state][1]}{behind}"


def result(record: Record) -> str | None:
    """Return the end of a schedule's job, for comparison with its other jobs, or None if a person ended the job."""
    if record.unreadable:
        return None
    if record.outcome:
        return card_of(record.job).result(record.outcome)
    return record.state if record.state in ("failed", "lost", "expired") else None


def charts(job: Job, outcome: Outcome) -> Message | None:
    """Return the message with the charts of a success for Slack to draw, if the kind has charts."""
    blocks = card_of(job).charts(outcome)
    _, words = card_of(job).verdict(outcome)
    return Message(text=f"{words}: {job.summary}", blocks=tuple(blocks)) if blocks else None


def _waiting_reason(record: Record, ahead: Record | None, change: str) -> str:
    if record.state == "awaiting_approval" and (request := record.approval):
        missing = request.count - len(record.approved_by)
        needed = f"Needs {required_approvals(missing, request.approvers, own=request.own)}.\n"
        if request.again:
            needed = f"The rule for approvals has changed; earlier approvals do not count.\n{needed}"
        facts = card_of(record.job).approval_facts(record.job)
        will_run = f"Will run: {facts}.\n" if facts else ""
        will_run += f"{change}\n" if change else ""
        return f"{needed}{will_run}The request expires {date(request.expires_at_s)}."
    if record.state == "waiting" and record.waits_for:
        what = f" ({escape(ahead.job.summary)})" if ahead else ""
        return f"Waits for job #{record.waits_for}{what} to end."
    if record.state == "queued" and record.reason:
        return f"Will be retried: {escape(record.reason)}"
    return ""


def required_approvals(count: int, approvers: Sequence[str], *, own: bool) -> str:
    """Return the number of approvals and the approvers: member ids and group handles, or any member if empty."""
    number = "one approval" if count == 1 else f"{count} approvals"
    members = " or ".join(map(person, approvers)) or "any member"
    return f"{number} from {members}" + ("" if own else ", other than the requester")


def _step_lines(record: Record) -> list[str]:
    """Return a line for each step, and for the steps to come while the job runs."""
    lines = [_step_line(step) for step in record.steps]
    if record.progress and record.steps[-1].state == "running":
        lines[-1] += _progress(record.progress)
    begun = {step.name for step in record.steps}
    to_come = record.job.steps if record.state == "running" else ()
    return lines + [f"○ {name}" for name in to_come if name not in begun]


def _step_line(step: Step) -> str:
    seconds = step.seconds or 0.0
    duration = f" {show_duration(seconds)}" if seconds >= _SHOWN_FROM_S else ""
    note = f" · {escape(step.note)}" if step.note else ""
    return f"{_MARKS[step.state]} *{step.name}*{duration}{note}"


def _progress(progress: Progressed) -> str:
    fact = f" · {escape(progress.fact)}" if progress.fact else ""
    if not progress.total:
        return f" {progress.done:g}{fact}"
    share = min(max(progress.done / progress.total, 0.0), 1.0)
    full = round(share * _BAR_CELLS)
    return f"{fact}\n`{'█' * full}{'░' * (_BAR_CELLS - full)}` {share:.0%}"


def _footer(record: Record) -> str:
    asked, job_owner = record.asked, card_of(record.job).owner(record.job)
    through = f" through schedule {escape(asked.scheduled_by)}" if asked.scheduled_by else ""
    parts = [f"#{record.id}", f"requested by {person(asked.by)} {date(asked.at_s)}{through}", job_owner]
    if record.approved_by:
        parts.append("approved by " + ", ".join(map(person, record.approved_by)))
    if record.ended_by:
        parts.append(f"{record.state} by {person(record.ended_by)}")
    elif record.cancel_by:
        parts.append(f"{person(record.cancel_by)} requested a stop")
    if record.took_over:
        parts.append(f"restarted after its worker died (attempt {record.attempt})")
    elif record.attempt > 1:
        parts.append(f"attempt {record.attempt}")
    if record.started_at_s and record.ended_at_s:
        parts.append(f"took {show_duration(record.ended_at_s - record.started_at_s)}")
    return " · ".join(filter(None, parts))


def _buttons(record: Record, ahead: Record | None) -> list[Button]:
    kind = card_of(record.job)
    if record.state == "awaiting_approval":
        approve = Button(text="Approve", action="approve", value=record.id, style="primary")
        deny = Button(text="Deny", action="deny", value=record.id, style="danger")
        return [approve, deny, Button(text="Cancel", action="cancel", value=record.id)]
    if record.outcome:
        return kind.next_buttons(record.id, record.outcome)
    if record.final:
        return [Button(text="Retry", action="retry", value=record.id)]
    buttons = []
    if record.state == "waiting" and not record.job.load and ahead and ahead.job.load and not ahead.cancel_by:
        buttons.append(Button(text="Stop the test", action="stop_ahead", value=record.id))
    if record.state != "reserved" and not record.cancel_by:
        buttons.append(Button(text=kind.stop, action="cancel", value=record.id, style="danger"))
    return buttons
