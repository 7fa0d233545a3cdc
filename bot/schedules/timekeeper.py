"""What fires schedules: any number of them, one in each bot.

A firing asks under an id made of the schedule and the time it was due, so that it is one request, however many bots
make it and wherever one of them dies: the queue gives one request one job. And a schedule is moved on only when that is
done: whoever dies before leaves it due, for another bot.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import redis
from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.triggers.base import BaseTrigger

from bot.chat import ChatError
from bot.schedules.job_store import JobStore, as_schedule
from bot.schedules.scheduler import Scheduler
from bot.state import Schedule
from bot.store import Store
from workers.contract.queue import QueueUnavailable

logger = logging.getLogger(__name__)

Fire = Callable[[Schedule, float], None]
"""Asks for the job of a schedule that was due at a time, in Unix seconds."""
Report = Callable[[Schedule, Sequence[float]], None]
"""Tells of firings that were missed, oldest first, in Unix seconds."""


class Timekeeper:
    """Fires the newest of what is due, or reports it where it is too late for that, and reports all before it first.

    Where `fire` or `missed` raises, or this process dies, a later round does it again. Two do it at one time only where
    one was held up for longer than its lock lasts: then too a firing is one job, but what is told may be told twice.
    """

    def __init__(self, client: "redis.Redis", *, store: Store, fire: Fire, missed: Report) -> None:
        job_store = JobStore(client)
        self._scheduler = Scheduler(job_store, _InlineExecutor(job_store, store=store, fire=fire, missed=missed))
        self._scheduler.start()

    def round(self) -> None:
        """Look at all schedules once. Raises QueueUnavailable where Redis goes away meanwhile."""
        self._scheduler.round()


class _InlineExecutor(BaseExecutor):  # type: ignore[misc]  # APScheduler publishes no types
    """Does what is due right where the scheduler submits it, and moves the job on itself when that is done.

    The scheduler would move it on in any case, also where the executor raised, to the time that the job's trigger
    gives; so that is replaced by one that gives whatever time the job has come to.
    """

    def __init__(self, job_store: JobStore, *, store: Store, fire: Fire, missed: Report) -> None:
        super().__init__()
        self._job_store, self._store, self._fire, self._missed = job_store, store, fire, missed

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        trigger, job.trigger = job.trigger, _AsItStands(job)
        try:
            with self._store.locked(f"schedule:{job.id}") as ours:
                if ours and self._is_still_due(job):
                    self._see_to(job, run_times, trigger)
        except (ChatError, *QueueUnavailable) as error:
            logger.warning("schedule %s is seen to again in a second: %s", job.id, error)
        self._run_job_success(job.id, [])

    def _is_still_due(self, job: Job) -> bool:
        """Whether no other bot has seen to it since it was read, and nobody has paused or removed it."""
        now_kept = self._job_store.lookup_job(job.id)
        return now_kept is not None and now_kept.next_run_time == job.next_run_time

    def _see_to(self, job: Job, run_times: list[datetime], trigger: BaseTrigger) -> None:
        schedule, now = as_schedule(job), datetime.now(UTC)
        newest, then = run_times[-1], trigger.get_next_fire_time(run_times[-1], now)
        in_time = now - newest <= timedelta(seconds=job.misfire_grace_time)
        if late := run_times[:-1] if in_time else run_times:
            logger.warning("schedule %s was due and missed, times: %d", job.id, len(late))
            self._missed(schedule, [run_time.timestamp() for run_time in late])
            if not self._move_on(job, newest if in_time else then):
                return  # it was paused, removed or seen to meanwhile
        if in_time:
            logger.info("schedule %s is due at %s", job.id, newest)
            self._fire(schedule, newest.timestamp())
            self._move_on(job, then)

    def _move_on(self, job: Job, run_time: datetime | None) -> bool:
        """Keep when it fires next; False where others have changed that since it was read."""
        job.next_run_time = run_time
        return self._job_store.update_job(job)


class _AsItStands(BaseTrigger):  # type: ignore[misc]
    """The trigger of a job that is moved on by others than the scheduler."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        run_time: datetime | None = self._job.next_run_time
        return run_time
