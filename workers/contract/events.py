"""What happened to a job: one frozen class an event, past tense. Pure values; `at_s` is Unix seconds.

Most are kept for the job's life and folded, in their order, into its record. `Progressed` and `Measured` are
transient: only the newest of each is kept.
"""

from dataclasses import dataclass
from typing import Literal

from workers.contract.jobs import AnyOutcome
from workers.contract.load import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class _Event:
    at_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequested(_Event):
    """The job waits for `count` people of `approvers` (ids or "@group"; empty: any member) until `expires_at_s`."""

    kind: Literal["approval_requested"] = "approval_requested"
    count: int
    approvers: tuple[str, ...]
    own: bool
    expires_at_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved(_Event):
    """`by` agreed."""

    kind: Literal["approved"] = "approved"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Denied(_Event):
    """`by` refused. Ends the job."""

    kind: Literal["denied"] = "denied"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired(_Event):
    """Nobody decided in time. Ends the job."""

    kind: Literal["expired"] = "expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued(_Event):
    """A worker may take the job."""

    kind: Literal["queued"] = "queued"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting(_Event):
    """The job stands in line for its target, right behind job `behind`."""

    kind: Literal["waiting"] = "waiting"
    behind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(_Event):
    """`worker` began the job's `attempt` (1, 2, …). `took_over` tells that the worker before died with it."""

    kind: Literal["started"] = "started"
    attempt: int
    worker: str
    took_over: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStarted(_Event):
    """A step of the job began."""

    kind: Literal["step_started"] = "step_started"
    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFinished(_Event):
    """The step ended well; `fact` is what a person wants to know of it, or ""."""

    kind: Literal["step_finished"] = "step_finished"
    step: str
    fact: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSkipped(_Event):
    """The step was not done, because of `reason`."""

    kind: Literal["step_skipped"] = "step_skipped"
    step: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progressed(_Event):
    """`done` of `total` (None: unknown) of the running step, and one fact. Transient."""

    kind: Literal["progressed"] = "progressed"
    step: str
    done: float
    total: float | None
    fact: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured(_Event):
    """The newest second of a load test, `left_s` seconds before its end, with `replicas` ready. Transient."""

    kind: Literal["measured"] = "measured"
    sample: Sample
    left_s: float = 0.0
    replicas: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaled(_Event):
    """Ready replicas went from `before` to `after`."""

    kind: Literal["scaled"] = "scaled"
    before: int
    after: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged(_Event):
    """A line of detail."""

    kind: Literal["logged"] = "logged"
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached(_Event):
    """A file belongs to the job; its bytes are kept in the queue under `file` for a week."""

    kind: Literal["attached"] = "attached"
    file: str
    name: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Identified(_Event):
    """Work that goes on outside under `identity`, so that the next attempt finds it again."""

    kind: Literal["identified"] = "identified"
    what: str
    identity: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelRequested(_Event):
    """`by` wishes a running job to stop."""

    kind: Literal["cancel_requested"] = "cancel_requested"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requeued(_Event):
    """The job goes back to the queue and is tried again after `after_s` seconds, because of `reason`."""

    kind: Literal["requeued"] = "requeued"
    reason: str
    after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded(_Event):
    """Ends the job well."""

    kind: Literal["succeeded"] = "succeeded"
    outcome: AnyOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(_Event):
    """Ends the job: why, in a sentence, and what can be done, in another or ""."""

    kind: Literal["failed"] = "failed"
    reason: str
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled(_Event):
    """Ends the job because `by` wished it."""

    kind: Literal["cancelled"] = "cancelled"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost(_Event):
    """Ends the job: its workers died with it too often."""

    kind: Literal["lost"] = "lost"
    reason: str


Event = (
    ApprovalRequested
    | Approved
    | Denied
    | Expired
    | Queued
    | Waiting
    | Started
    | StepStarted
    | StepFinished
    | StepSkipped
    | Progressed
    | Measured
    | Scaled
    | Logged
    | Attached
    | Identified
    | CancelRequested
    | Requeued
    | Succeeded
    | Failed
    | Cancelled
    | Lost
)

TRANSIENT = (Progressed, Measured)
