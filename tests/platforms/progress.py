"""Progress of a job for tests, which records every call and can be cancelled."""

from collections.abc import Callable, MutableMapping
from threading import Event

from workers.errors import JobCancelled


class RecordedProgress:
    """One attempt of a job. Pass its `identities` to the next attempt of the same job.

    Set `cancelled` to make every later call raise JobCancelled.
    """

    def __init__(self, *, identities: MutableMapping[str, str] | None = None) -> None:
        self.job_id = "1"
        self.reports: list[tuple[float, float | None, str]] = []
        self.lines: list[str] = []
        self.identities = {} if identities is None else identities
        self.cancelled = Event()
        self.on_report: Callable[[str], None] = lambda fact: None

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        self.check()
        self.reports.append((done, total, fact))
        self.on_report(fact)

    def log(self, line: str) -> None:
        self.lines.append(line)

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        self.lines.append(f"{before} → {after}: {reason}")

    def wait(self, seconds: float) -> None:
        self.cancelled.wait(seconds)
        self.check()

    def check(self) -> None:
        if self.cancelled.is_set():
            raise JobCancelled("Cancelled by the test.")

    def save_external_id(self, kind: str, identity: str) -> None:
        self.identities[kind] = identity

    def external_id(self, kind: str) -> str | None:
        return self.identities.get(kind)
