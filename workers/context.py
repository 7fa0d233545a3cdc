"""What a running job may do with its record: report, attach, wait, and learn that it must stop."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workers.contract import events as e
from workers.contract.load import Sample
from workers.contract.queue import Claim, Claims, QueueUnavailable
from workers.errors import Interrupted, Superseded, TemporaryError

TRANSIENT_EVERY_S = 0.25
"""Progress is written down at most this often: a card is edited every few seconds."""
PATIENCE_S = 60.0
"""How long an event waits for Redis to come back, before the job is tried again."""


class Interruption:
    """That a job is to stop, and why: set by whoever learns of it, seen by the job wherever it waits."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._why: Interrupted | None = None

    def interrupt(self, why: Interrupted) -> None:
        """Have the job stop because of `why`; the first reason stands."""
        if self._why is None:
            self._why = why
            self._set.set()

    def wait(self, seconds: float) -> None:
        """Sleep; raise the reason at once when there is one."""
        self._set.wait(seconds)
        if self._why is not None:
            raise self._why


class RunningStep:
    """A step under way; `fact` is what its line on the card will say when it has ended."""

    def __init__(self) -> None:
        self.fact = ""


class Context:
    """One attempt at a job. Implements the platforms' `Progress`.

    Every method raises Interrupted when the job is to stop, and TemporaryError where Redis stays away.
    """

    def __init__(self, claims: Claims, claim: Claim, interruption: Interruption) -> None:
        self._claims = claims
        self._claim = claim
        self._interruption = interruption
        self._step = ""
        self._last_transient_s = 0.0
        self._identities = dict(claim.record.identities)

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._claim.record.id

    @property
    def request(self) -> str:
        """The job's id and when it was asked: unlike the id, never given again, should Redis be lost."""
        return f"{self._claim.record.id}@{self._claim.record.asked.at_s:.3f}"

    @property
    def asked_by(self) -> str:
        """What to call the person who asked."""
        return self._claim.record.asked.by_name

    @contextmanager
    def step(self, name: str) -> Iterator[RunningStep]:
        """A step of the job: told when it begins and, with its `fact`, when it has ended well."""
        self.check()
        self._step = name
        self._tell(e.StepStarted(at_s=time.time(), step=name))
        running = RunningStep()
        yield running
        self._tell(e.StepFinished(at_s=time.time(), step=name, fact=running.fact))

    def skip(self, name: str, reason: str) -> None:
        """Tell that a step is not done, and why."""
        self._tell(e.StepSkipped(at_s=time.time(), step=name, reason=reason))

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        """See Progress."""
        self.check()
        now = time.time()
        if now - self._last_transient_s >= TRANSIENT_EVERY_S or done == total:
            self._last_transient_s = now
            self._tell_newest(e.Progressed(at_s=now, step=self._step, done=done, total=total, fact=fact))

    def measured(self, sample: Sample, *, left_s: float, replicas: int) -> None:
        """Report a second of a load test; see events.Measured."""
        self.check()
        self._tell_newest(e.Measured(at_s=time.time(), sample=sample, left_s=left_s, replicas=replicas))

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        """See Progress."""
        self._tell(e.Scaled(at_s=time.time(), before=before, after=after, reason=reason))

    def log(self, line: str) -> None:
        """See Progress."""
        self._tell(e.Logged(at_s=time.time(), line=line))

    def attach(self, *, name: str, title: str, data: bytes) -> None:
        """Add a file to the job's detail; at most 10 MiB."""
        self._written(lambda: self._claims.attach(self._claim, name=name, title=title, data=data))

    def wait(self, seconds: float) -> None:
        """See Progress."""
        self._interruption.wait(seconds)

    def check(self) -> None:
        """See Progress."""
        self._interruption.wait(0)

    def save_external_id(self, kind: str, identity: str) -> None:
        """See Progress."""
        self._identities[kind] = identity
        self._tell(e.Identified(at_s=time.time(), what=kind, identity=identity))

    def external_id(self, kind: str) -> str | None:
        """See Progress."""
        return self._identities.get(kind)

    def _tell(self, event: e.Event) -> None:
        self._written(lambda: self._claims.append(self._claim, event))

    def _tell_newest(self, event: e.Progressed | e.Measured) -> None:
        """The next one says more: one that cannot be written is let go."""
        try:
            self._accepted(self._claims.append(self._claim, event))
        except QueueUnavailable:
            return

    def _written(self, write: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._accepted(write())
            except QueueUnavailable as error:
                if time.monotonic() > deadline_s:
                    raise TemporaryError("Redis could not be reached.", retry_after_s=5.0) from error
                self.wait(0.5)

    def _accepted(self, written: bool) -> None:
        if not written:
            self._interruption.interrupt(Superseded("Another worker has this job now."))
            self.check()
