"""Runs delivered jobs: claim → handler → report the end. Knows no kind of job."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from workers.context import Context, StopSignal
from workers.contract import events as e
from workers.contract.jobs import Outcome
from workers.contract.queue import Busy, Claim, Claims, QueueUnavailable
from workers.contract.record import Record
from workers.errors import JobCancelled, PermanentError, ShuttingDown, Superseded, TemporaryError
from workers.platforms.protocols import Platforms

logger = logging.getLogger(__name__)

Handler = Callable[[Any, Context], Outcome]
WATCH_EVERY_S = 0.25  # time between two checks for cancellations: a cancelled job learns of it within a second
MOST_ATTEMPTS = 5  # attempts after which a job with a temporary error fails for good


class Runner:
    """Runs the jobs of one worker, each in a thread of the transport.

    `refresh(record)` publishes to the catalogue what a job may have changed. It is called before the job's end is
    reported, because the final card offers buttons from the catalogue.
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
        self._running: dict[str, tuple[Claim, StopSignal]] = {}
        self._draining = threading.Event()
        self._stopping = threading.Event()

    def run(self, job_id: str) -> None:
        """Run a delivered job until it ends or is requeued."""
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
        stop_signal = StopSignal()
        self._running[job_id] = (claim, stop_signal)
        try:
            self._attempt(claim, Context(self._claims, claim, stop_signal, self._platforms))
        finally:
            del self._running[job_id]

    def watch(self) -> None:
        """Send heartbeats, deliver due jobs and forward cancellations, until `stop`."""
        while not self._stopping.wait(WATCH_EVERY_S) or self._running:
            try:
                self._claims.heartbeat()
                self._claims.deliver_due()
                self._forward_stops()
            except QueueUnavailable as error:
                logger.warning("Redis cannot be reached: %s", error)
            if self._stopping.is_set():
                for _, stop_signal in list(self._running.values()):
                    stop_signal.stop(ShuttingDown("The worker is shutting down."))
                time.sleep(WATCH_EVERY_S)
        with suppress(*QueueUnavailable):  # otherwise the lease expires
            self._claims.deregister()

    def stop(self, grace_s: float) -> None:
        """Drain: start no jobs, wait `grace_s` for the running ones, then requeue them."""
        self._draining.set()
        deadline_s = time.monotonic() + grace_s
        while self._running and time.monotonic() < deadline_s:
            time.sleep(0.1)
        self._stopping.set()

    def _forward_stops(self) -> None:
        running = list(self._running.items())
        states = self._claims.check(claim for _, (claim, _) in running) if running else {}
        for job_id, (_, stop_signal) in running:
            claim_held, cancel_by = states[job_id]
            if not claim_held:
                stop_signal.stop(Superseded("Another worker has this job now."))
            elif cancel_by is not None:
                stop_signal.stop(JobCancelled(cancel_by))

    def _attempt(self, claim: Claim, context: Context) -> None:
        record = claim.record
        logger.info("job %s, attempt %d: %s", record.id, claim.attempt, record.job.summary)
        end: e.Succeeded | e.Failed | e.Cancelled
        try:
            self._check_approved(record)
            outcome = self._handlers[record.job.kind](record.job, context)
            end = e.Succeeded(outcome=outcome)
        except JobCancelled as cancelled:
            end = e.Cancelled(by=str(cancelled))
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
            end = e.Failed(reason=str(error), advice=f"Seatrial tried {claim.attempt} times.")
        except PermanentError as error:
            logger.info("job %s failed: %s", record.id, error, exc_info=error.__cause__)
            end = e.Failed(reason=str(error), advice=error.advice)
        except Exception as error:  # the outermost loop of a job: no fault of a job may stop the worker
            logger.exception("job %s failed unexpectedly", record.id)
            end = e.Failed(
                reason=f"Seatrial itself failed ({type(error).__name__}).",
                advice=f"See the log of worker {self._claims.worker} for job {record.id}.",
            )
        try:
            self._retry_until_redis(lambda: self._refresh(record))
        finally:  # a job ends even if the refresh fails
            self._retry_until_redis(lambda: self._claims.finish(claim, end))

    def _check_approved(self, record: Record) -> None:
        """Check settings and approvals again here: the worker holds the credentials and must not trust the bot."""
        same = "Give bot and worker the same seatrial.toml, then try again."
        settings = self._platforms.settings
        if missing := record.job.missing_setting(settings):
            raise PermanentError(f"The worker's settings have no {missing}.", advice=same)
        needed = record.job.approvals_needed(settings)
        counted = {by for by in record.approved_by if needed is not None and (needed.own or by != record.asked.by)}
        if needed is not None and len(counted) < needed.count:
            raise PermanentError(
                f"The worker's settings require {needed.count} approval(s); this job has {len(counted)}.", advice=same
            )
        given = record.approval
        if needed is not None and (given is None or (given.approvers, given.own) != (needed.from_, needed.own)):
            who = " or ".join(needed.from_) or "any member"
            raise PermanentError(
                f"The worker's settings require approval by {who}; this job was approved under another rule.",
                advice="Submit the job again: it is then approved under the new rule.",
            )

    def _requeue(self, claim: Claim, *, reason: str, after_s: float) -> None:
        self._retry_until_redis(lambda: self._claims.requeue(claim, reason=reason, after_s=after_s))

    def _retry_until_redis(self, call: Callable[[], Any]) -> Any:
        """Call until Redis answers. If the worker is killed first, another one takes the job over."""
        while True:
            try:
                return call()
            except QueueUnavailable as error:
                logger.warning("Redis cannot be reached: %s", error)
                time.sleep(0.5)
