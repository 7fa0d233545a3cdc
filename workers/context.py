"""A running job's access to its record: progress, files, cancellation. Handlers and adapters use it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from workers.contract import events as e
from workers.contract.load import Sample
from workers.contract.queue import Claim, Claims, QueueUnavailable
from workers.errors import Interrupted, Superseded, TemporaryError
from workers.platforms.protocols import Platforms

TRANSIENT_EVERY_S = 0.25  # shortest time between two progress events: a card is edited every few seconds
REDIS_TIMEOUT_S = 60.0  # time that an event waits for Redis before the job is requeued


class StopSignal:
    """A request that a job must stop, with its reason. The runner sets it; the job's next wait raises it."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._reason: Interrupted | None = None

    def stop(self, reason: Interrupted) -> None:
        """Stop the job because of `reason`. Later calls have no effect."""
        if self._reason is None:
            self._reason = reason
            self._set.set()

    def wait(self, seconds: float) -> None:
        """Sleep. Raise the reason at once if the job must stop."""
        self._set.wait(seconds)
        if self._reason is not None:
            raise self._reason


@dataclass
class RunningStep:
    """A step in progress. Its `fact` goes on the card when the step ends."""

    fact: str = ""


class Context:
    """One attempt at a job, and the platforms that it uses. Implements `Progress`.

    Every method raises Interrupted if the job must stop, and TemporaryError if Redis stays unreachable.
    """

    def __init__(self, claims: Claims, claim: Claim, stop_signal: StopSignal, platforms: Platforms) -> None:
        self.platforms = platforms
        self._claims = claims
        self._claim = claim
        self._stop_signal = stop_signal
        self._step = ""
        self._last_transient_s = 0.0
        self._claimed_s = time.monotonic()
        self._identities = dict(claim.record.identities)

    @property
    def job_id(self) -> str:
        return self._claim.record.id

    @property
    def request(self) -> str:
        """Return the job's id with the time of the request: unique even if Redis is lost and ids start again."""
        return f"{self._claim.record.id}@{self._claim.record.asked.at_s:.3f}"

    @property
    def asked_by(self) -> str:
        return self._claim.record.asked.by_name

    def now_s(self) -> float:
        """Return the present time in Unix seconds by Redis' clock, as other workers' jobs see it."""
        return self._claim.at_s + time.monotonic() - self._claimed_s

    @contextmanager
    def step(self, name: str) -> Iterator[RunningStep]:
        """Report a step when it begins and, with its `fact`, when it has succeeded."""
        self.check()
        self._step = name
        self._append(e.StepStarted(step=name))
        running = RunningStep()
        yield running
        self._append(e.StepFinished(step=name, fact=running.fact))

    def skip(self, name: str, reason: str) -> None:
        self._append(e.StepSkipped(step=name, reason=reason))

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        self.check()
        now_s = time.monotonic()
        if now_s - self._last_transient_s >= TRANSIENT_EVERY_S or done == total:
            self._last_transient_s = now_s
            self._append_transient(e.Progressed(step=self._step, done=done, total=total, fact=fact))

    def measured(self, sample: Sample, *, left_s: float, replicas: int) -> None:
        """Report a second of a load test; see events.Measured."""
        self.check()
        self._append_transient(e.Measured(sample=sample, left_s=left_s, replicas=replicas))

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        self._append(e.Scaled(before=before, after=after, reason=reason))

    def log(self, line: str) -> None:
        self._append(e.Logged(line=line))

    def attach(self, *, name: str, title: str, data: bytes) -> None:
        """Add a file to the job's detail; at most 10 MiB."""
        self._retry_until_written(lambda: self._claims.attach(self._claim, name=name, title=title, data=data))

    def wait(self, seconds: float) -> None:
        self._stop_signal.wait(seconds)

    def check(self) -> None:
        self._stop_signal.wait(0)

    def save_external_id(self, kind: str, identity: str) -> None:
        self._identities[kind] = identity
        self._append(e.Identified(what=kind, identity=identity))

    def external_id(self, kind: str) -> str | None:
        return self._identities.get(kind)

    def _append(self, event: e.Event) -> None:
        self._retry_until_written(lambda: self._claims.append(self._claim, event))

    def _append_transient(self, event: e.Progressed | e.Measured) -> None:
        """Append the event if Redis can be reached. The next one replaces it anyway."""
        with suppress(*QueueUnavailable):
            self._check_accepted(self._claims.append(self._claim, event))

    def _retry_until_written(self, write: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + REDIS_TIMEOUT_S
        while True:
            try:
                return self._check_accepted(write())
            except QueueUnavailable as error:
                if time.monotonic() > deadline_s:
                    raise TemporaryError("Redis could not be reached.", retry_after_s=5.0) from error
                self.wait(0.5)

    def _check_accepted(self, written: bool) -> None:
        if not written:
            self._stop_signal.stop(Superseded("Another worker has this job now."))
            self.check()
