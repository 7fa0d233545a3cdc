"""Events of a job. Pure values.

The queue stores them in order as long as the job, and `record` folds them. Of the transient events `Progressed` and
`Measured` it stores only the newest. `Denied`, `Expired`, `Succeeded`, `Failed`, `Cancelled` and `Lost` end the job.
"""

from dataclasses import dataclass
from typing import Literal

from workers.contract.jobs import AnyOutcome
from workers.contract.load import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class _Event:
    """`at_s`: Unix seconds by Redis' clock. The queue sets it when it stores the event."""

    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequested(_Event):
    """The job needs the approval of `count` people by `expires_at_s`.

    `approvers` are user ids or "@group"; if empty, any member may approve. `own`: the requester may, too. `again`: an
    earlier request was made under another rule, and its approvals do not count.
    """

    kind: Literal["approval_requested"] = "approval_requested"
    count: int
    approvers: tuple[str, ...]
    own: bool
    expires_at_s: float
    again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved(_Event):
    kind: Literal["approved"] = "approved"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Denied(_Event):
    kind: Literal["denied"] = "denied"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired(_Event):
    kind: Literal["expired"] = "expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued(_Event):
    kind: Literal["queued"] = "queued"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting(_Event):
    """The job waits for its resource, directly behind job `behind`."""

    kind: Literal["waiting"] = "waiting"
    behind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(_Event):
    """`worker` began attempt 1, 2, … of the job. `took_over`: the worker of the last attempt died."""

    kind: Literal["started"] = "started"
    attempt: int
    worker: str
    took_over: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StepStarted(_Event):
    kind: Literal["step_started"] = "step_started"
    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFinished(_Event):
    """A step succeeded. `fact` is its result in a few words, or ""."""

    kind: Literal["step_finished"] = "step_finished"
    step: str
    fact: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSkipped(_Event):
    kind: Literal["step_skipped"] = "step_skipped"
    step: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progressed(_Event):
    """The running step has done `done` of `total` (None: unknown). Transient."""

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
    kind: Literal["scaled"] = "scaled"
    before: int
    after: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged(_Event):
    kind: Literal["logged"] = "logged"
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached(_Event):
    """A file was attached to the job. The queue stores its bytes under `file` for a week."""

    kind: Literal["attached"] = "attached"
    file: str
    name: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Identified(_Event):
    """External work was started under `identity`. The next attempt finds it again by this id."""

    kind: Literal["identified"] = "identified"
    what: str
    identity: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelRequested(_Event):
    kind: Literal["cancel_requested"] = "cancel_requested"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requeued(_Event):
    """The job returned to the queue because of `reason`. The next attempt is due in `after_s` seconds."""

    kind: Literal["requeued"] = "requeued"
    reason: str
    after_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded(_Event):
    kind: Literal["succeeded"] = "succeeded"
    outcome: AnyOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(_Event):
    """End of a job by an error. `reason` and `advice` are sentences; `advice` may be ""."""

    kind: Literal["failed"] = "failed"
    reason: str
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled(_Event):
    kind: Literal["cancelled"] = "cancelled"
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost(_Event):
    """End of a job that was running while too many workers died."""

    kind: Literal["lost"] = "lost"
    reason: str


ApprovalEvent = ApprovalRequested | Approved | Denied | Expired
StepEvent = StepStarted | StepFinished | StepSkipped
WorkEvent = Progressed | Measured | Scaled | Logged | Attached | Identified
QueueEvent = Queued | Waiting | Started | CancelRequested | Requeued
EndEvent = Succeeded | Failed | Cancelled | Lost
Event = ApprovalEvent | StepEvent | WorkEvent | QueueEvent | EndEvent
TRANSIENT = (Progressed, Measured)
