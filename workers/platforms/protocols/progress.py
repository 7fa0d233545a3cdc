"""How whatever lasts tells where it is, and learns that it must stop."""

from typing import Protocol


class Progress(Protocol):
    """How long work tells where it is, and learns that it must stop."""

    @property
    def job_id(self) -> str:
        """The job's id, for labels on what is made for it."""

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        """Tell that `done` of `total` (same unit; None = unknown) is reached, with one short fact.

        Raises Interrupted (JobCancelled, Superseded, ShuttingDown) when the job is to stop.
        """

    def log(self, line: str) -> None:
        """Add a line to the job's detail. Never a secret."""

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        """Tell that the number of ready replicas went from `before` to `after`, and why."""

    def wait(self, seconds: float) -> None:
        """Sleep, unless the job is to stop: then raise Interrupted at once."""

    def check(self) -> None:
        """Raise Interrupted when the job is to stop; otherwise nothing. Call before what cannot be undone."""

    def save_external_id(self, kind: str, identity: str) -> None:
        """Write down the identity of work that goes on outside (a BigQuery job), for the next attempt."""

    def external_id(self, kind: str) -> str | None:
        """The identity an earlier attempt (or this one) wrote down under `kind`."""
