"""Progress reporting and cancellation for long-running calls."""

from typing import Protocol


class Progress(Protocol):
    """The running job as its adapters see it: they report to it, and it interrupts them.

    "Interrupted" stands for JobCancelled, Superseded and ShuttingDown.
    """

    @property
    def job_id(self) -> str:
        """The job's id, used to label external resources that are created for the job."""

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        """Report that `done` of `total` is reached, with one short fact. Raises Interrupted if the job must stop.

        Both have the same unit; None means that the total is unknown.
        """

    def log(self, line: str) -> None:
        """Add a line to the job's detail. Never pass a secret."""

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        """Report that the number of ready replicas went from `before` to `after`, and why."""

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Interrupted at once if the job must stop."""

    def check(self) -> None:
        """Raise Interrupted if the job must stop. Call before a change that cannot be undone."""

    def save_external_id(self, kind: str, identity: str) -> None:
        """Save the identity of external work, such as a BigQuery job, for the job's next attempt."""

    def external_id(self, kind: str) -> str | None:
        """Return the identity that this or an earlier attempt saved under `kind`, or None."""
