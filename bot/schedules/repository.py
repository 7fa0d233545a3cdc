"""Stored schedules: add, list, pause, resume and remove them, from any bot."""

from contextlib import suppress

import redis
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError

from bot.schedules.clock import ClockTrigger
from bot.schedules.job_store import JobStore, as_job, as_schedule
from bot.schedules.timekeeper import Scheduler
from bot.state import Schedule
from bot.store import Store


class Schedules:
    """The stored schedules. Raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis", *, store: Store) -> None:
        self._store = store
        # A second scheduler, which never fires: the timekeeper's is locked while it waits for Slack.
        self._jobs = JobStore(client)
        self._scheduler = Scheduler(self._jobs)
        self._scheduler.start(paused=True)

    def add(
        self, *, cron: str, time_zone: str, command: str, channel: str, by: str, by_name: str, key: str
    ) -> Schedule:
        """Store a new schedule, once for each request `key`. It fires from the next due time on."""
        first = ClockTrigger(cron, time_zone).get_next_fire_time(None, self._jobs.now())
        schedule = Schedule(
            id=self._store.get_or_set(f"add:{key}", self._store.new_schedule_id()),
            cron=cron,
            time_zone=time_zone,
            command=command,
            channel=channel,
            by=by,
            by_name=by_name,
            next_due_s=first.timestamp() if first else None,
        )
        return self.save(schedule)

    def save(self, schedule: Schedule) -> Schedule:
        """Store the schedule unless its id exists, and return the stored one."""
        try:
            self._scheduler.add_job(**as_job(schedule))
        except ConflictingIdError:
            return self.get(schedule.id) or schedule
        return schedule

    def get(self, schedule_id: str) -> Schedule | None:
        """Return one schedule."""
        job = self._scheduler.get_job(schedule_id)
        return as_schedule(job, self._store.result(schedule_id)) if job else None

    def all(self) -> list[Schedule]:
        """Return all schedules, oldest first."""
        found = [as_schedule(job, self._store.result(job.id)) for job in self._scheduler.get_jobs()]
        return sorted(found, key=lambda schedule: int(schedule.id[1:]))

    def pause(self, schedule: Schedule) -> None:
        """Stop firing until the schedule is resumed."""
        with suppress(JobLookupError):
            self._scheduler.pause_job(schedule.id)

    def resume(self, schedule: Schedule) -> Schedule:
        """Fire again from the next due time on, and return the schedule. Firings that were due meanwhile are lost."""
        with suppress(JobLookupError):
            following = ClockTrigger(schedule.cron, schedule.time_zone).get_next_fire_time(None, self._jobs.now())
            self._scheduler.modify_job(schedule.id, next_run_time=following)
        return self.get(schedule.id) or schedule

    def remove(self, schedule: Schedule) -> None:
        """Remove the schedule and its result."""
        with suppress(JobLookupError):
            self._scheduler.remove_job(schedule.id)
        self._store.delete_result(schedule.id)
