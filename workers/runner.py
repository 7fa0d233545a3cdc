"""Runs jobs: claim → handler → say how it ended. Holds what is true of every job, and knows none."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from workers.context import Context, Interruption
from workers.contract import events as e
from workers.contract.jobs import Outcome
from workers.contract.queue import Busy, Claim, Claims, QueueUnavailable
from workers.contract.record import Record
from workers.errors import JobCancelled, PermanentError, ShuttingDown, Superseded, TemporaryError
from workers.platforms.protocols.platforms import Platforms

logger = logging.getLogger(__name__)

Handler = Callable[[Any, Context, Platforms], Outcome]
WATCH_EVERY_S = 0.25
"""How often wishes are looked at: a cancelled job sees it within a second."""
MOST_ATTEMPTS = 5
"""A job whose cause of failure does not pass is given up on after this many attempts."""


class Runner:
    """The jobs of one worker, each in a thread of the transport's.

    `refresh(record)` tells the catalogue what a job may have changed. It is called before the job's end is told: what a
    card offers next is known when it is shown.
    """

    def __init__(
        self,
        *,
        claims: Claims,
        handlers: Mapping[str, Handler],
        platforms: Platforms,
        refresh: Callable[[Record], None],
    ) -> None:
        self._claims = claims
        self._handlers = handlers
        self._platforms = platforms
        self._refresh = refresh
        self._running: dict[str, tuple[Claim, Interruption]] = {}
        self._draining = threading.Event()
        self._stopping = threading.Event()

    def run(self, job_id: str) -> None:
        """Work on a job that was delivered, to its end or until it is handed back."""
        if self._draining.is_set():
            self._retry_until_redis(lambda: self._claims.defer(job_id, for_s=1.0))
            return
        try:
            claim = self._retry_until_redis(lambda: self._claims.claim(job_id))
        except Busy:
            logger.info("job %s runs elsewhere", job_id)
            return
        if claim is None:
            logger.info("job %s: nothing to do", job_id)
            return
        interruption = Interruption()
        self._running[job_id] = (claim, interruption)
        try:
            self._attempt(claim, Context(self._claims, claim, interruption))
        finally:
            del self._running[job_id]

    def watch(self) -> None:
        """Give signs of life, have delivered what is due, and pass wishes on to the running jobs, until `stop`."""
        while not self._stopping.wait(WATCH_EVERY_S) or self._running:
            try:
                self._claims.heartbeat()
                self._claims.deliver_due()
                self._deliver_interrupts()
            except QueueUnavailable as error:
                logger.warning("Redis is away: %s", error)
            if self._stopping.is_set():
                self._interrupt_all()
                time.sleep(WATCH_EVERY_S)
        with suppress(*QueueUnavailable):  # its lease runs out in any case
            self._claims.deregister()

    def stop(self, grace_s: float) -> None:
        """Begin no more jobs; let running ones end for `grace_s`, then have them handed back."""
        self._draining.set()
        deadline_s = time.monotonic() + grace_s
        while self._running and time.monotonic() < deadline_s:
            time.sleep(0.1)
        self._stopping.set()

    def _interrupt_all(self) -> None:
        for _, interruption in list(self._running.values()):
            interruption.interrupt(ShuttingDown("The worker is shutting down."))

    def _deliver_interrupts(self) -> None:
        running = list(self._running.items())
        standing = self._claims.check(claim for _, (claim, _) in running) if running else {}
        for job_id, (_, interruption) in running:
            holds, cancel_by = standing[job_id]
            if not holds:
                interruption.interrupt(Superseded("Another worker has this job now."))
            elif cancel_by is not None:
                interruption.interrupt(JobCancelled(cancel_by))

    def _attempt(self, claim: Claim, context: Context) -> None:
        record = claim.record
        logger.info("job %s, attempt %d: %s", record.id, claim.attempt, record.job.summary)
        ends: e.Succeeded | e.Failed | e.Cancelled
        try:
            self._check_approved(record)
            outcome = self._handlers[record.job.kind](record.job, context, self._platforms)
            ends = e.Succeeded(at_s=time.time(), outcome=outcome)
        except JobCancelled as cancelled:
            ends = e.Cancelled(at_s=time.time(), by=str(cancelled))
        except Superseded:
            logger.warning("job %s, attempt %d: another worker has it now", record.id, claim.attempt)
            return
        except ShuttingDown as error:
            self._requeue(claim, reason=str(error), after_s=0.0)
            return
        except TemporaryError as error:
            if claim.attempt < MOST_ATTEMPTS:
                self._requeue(claim, reason=str(error), after_s=error.retry_after_s)
                return
            ends = e.Failed(at_s=time.time(), reason=str(error), advice=f"It was tried {claim.attempt} times.")
        except PermanentError as error:
            logger.info("job %s failed: %s", record.id, error, exc_info=error.__cause__)
            ends = e.Failed(at_s=time.time(), reason=str(error), advice=error.advice)
        except Exception as error:  # the outermost loop of a job: nothing a job does may stop the worker
            logger.exception("job %s failed unexpectedly", record.id)
            ends = e.Failed(
                at_s=time.time(),
                reason=f"Seatrial itself failed ({type(error).__name__}).",
                advice=f"The log of worker {self._claims.worker} says more under job {record.id}.",
            )
        try:
            self._retry_until_redis(lambda: self._refresh(record))
        finally:  # a job ends, whatever there is
            self._retry_until_redis(lambda: self._claims.finish(claim, ends))

    def _check_approved(self, record: Record) -> None:
        """The bot decides; the worker, which has the credentials, does not take its word for it."""
        same = "Bot and worker must read the same seatrial.toml; ask again when they do."
        settings = self._platforms.settings
        if missing := record.job.missing_setting(settings):
            raise PermanentError(f"The worker's settings have no {missing}.", advice=same)
        needed = record.job.approvals_needed(settings)
        if needed is not None and len(set(record.approved_by)) < needed.count:
            raise PermanentError(
                f"This needs {needed.count} approval(s) by the worker's settings, and has {len(record.approved_by)}.",
                advice=same,
            )

    def _requeue(self, claim: Claim, *, reason: str, after_s: float) -> None:
        self._retry_until_redis(lambda: self._claims.requeue(claim, reason=reason, after_s=after_s))

    def _retry_until_redis(self, call: Callable[[], Any]) -> Any:
        """What must be written is tried until Redis is back. A worker that is killed first is found dead, and the job
        taken over: nothing is lost by waiting."""
        while True:
            try:
                return call()
            except QueueUnavailable as error:
                logger.warning("Redis is away: %s", error)
                time.sleep(0.5)
