"""Fires due schedules. Each bot runs one timekeeper, on the same store.

A firing's request is deduplicated by the schedule and the due time, so any number of bots submit one job for it. A
schedule moves on only after its firing is done: if a bot dies before that, another bot repeats the firing.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import redis
from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from bot.chat import ChatError
from bot.schedules.job_store import JobStore, as_schedule
from bot.state import Schedule
from bot.store import Store
from workers.contract.queue import QueueUnavailable

logger = logging.getLogger(__name__)

Fire = Callable[[Schedule, float], None]
"""Submits the job of a schedule that was due at a time in Unix seconds."""
Report = Callable[[Schedule, Sequence[float]], None]
"""Reports missed firings, oldest first, in Unix seconds."""


class Scheduler(BaseScheduler):  # type: ignore[misc]  # APScheduler publishes no types
    """APScheduler without a thread: the caller makes its rounds.

    A scheduler that sleeps until its next job would miss jobs that other bots add.
    """

    def __init__(self, job_store: JobStore, executor: BaseExecutor | None = None) -> None:
        executors = {"default": executor} if executor else {}
        super().__init__(jobstores={"default": job_store}, executors=executors, timezone=UTC)

    def wakeup(self) -> None:
        """Do not wake a thread: no thread sleeps."""

    def shutdown(self, wait: bool = True) -> None:
        """Close no client: the store's client belongs to its creator."""


class Timekeeper(Scheduler):
    """Fires the newest due time of each schedule, or reports it if it is too late, and reports all earlier ones first.

    If `fire` or `missed` raises, or the process dies, a later round repeats the call. Two bots make a call at the same
    time only if one of them was held up for longer than its lock lasts. The firing is one job even then, but a report
    may appear twice.
    """

    def __init__(self, client: "redis.Redis", *, store: Store, fire: Fire, missed: Report) -> None:
        job_store = JobStore(client)
        super().__init__(job_store, _InlineExecutor(job_store, store=store, fire=fire, missed=missed))
        self.start()

    def round(self) -> None:
        """Check all schedules once. Raises QueueUnavailable if Redis goes away."""
        self._process_jobs()


class _InlineExecutor(BaseExecutor):  # type: ignore[misc]  # APScheduler publishes no types
    """Fires a due job within the scheduler's round, and moves the job on after success only.

    APScheduler reschedules a job even if the executor raises. The job's trigger is therefore replaced by one that
    returns the time that this executor set.
    """

    def __init__(self, job_store: JobStore, *, store: Store, fire: Fire, missed: Report) -> None:
        super().__init__()
        self._job_store, self._store, self._fire, self._missed = job_store, store, fire, missed

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        trigger, job.trigger = job.trigger, _FixedTrigger(job)
        try:
            with self._store.locked(f"schedule:{job.id}") as acquired:
                if acquired and self._is_still_due(job):
                    self._fire_newest(job, run_times, trigger)
        except (ChatError, *QueueUnavailable) as error:
            logger.warning("schedule %s is retried in a second: %s", job.id, error)
        self._run_job_success(job.id, [])

    def _is_still_due(self, job: Job) -> bool:
        """Return True unless the job was fired, paused or removed since it was read."""
        stored = self._job_store.lookup_job(job.id)
        return stored is not None and stored.next_run_time == job.next_run_time

    def _fire_newest(self, job: Job, run_times: list[datetime], trigger: BaseTrigger) -> None:
        schedule = as_schedule(job)
        newest, following = run_times[-1], trigger.get_next_fire_time(run_times[-1], job.read_at)
        in_time = job.read_at - newest <= timedelta(seconds=job.misfire_grace_time)
        if late := run_times[:-1] if in_time else run_times:
            logger.warning("schedule %s missed %d firings", job.id, len(late))
            self._missed(schedule, [run_time.timestamp() for run_time in late])
            if not self._move_on(job, newest if in_time else following):
                return  # it was paused, removed or fired by another bot
        if in_time:
            logger.info("schedule %s is due at %s", job.id, newest)
            self._fire(schedule, newest.timestamp())
            self._move_on(job, following)

    def _move_on(self, job: Job, run_time: datetime | None) -> bool:
        """Store the next run time. Return False if it was changed since the job was read."""
        job.next_run_time = run_time
        return self._job_store.update_job(job)


class _FixedTrigger(BaseTrigger):  # type: ignore[misc]
    """A trigger that returns the job's own next run time."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        run_time: datetime | None = self._job.next_run_time
        return run_time
