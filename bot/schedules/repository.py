"""The schedules that are kept: added, listed, paused, resumed and removed, from any bot."""

from contextlib import suppress
from datetime import UTC, datetime

import redis
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError

from bot.schedules.clock import ClockTrigger
from bot.schedules.job_store import JobStore, as_job, as_schedule
from bot.schedules.scheduler import Scheduler
from bot.state import Schedule
from bot.store import Store


class Schedules:
    """The schedules that are kept. Raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis", *, store: Store) -> None:
        self._store = store
        # It fires nothing. The one that does is locked while it waits for Slack, and nobody is to wait with it.
        self._scheduler = Scheduler(JobStore(client))
        self._scheduler.start(paused=True)

    def add(
        self, *, cron: str, time_zone: str, command: str, channel: str, by: str, by_name: str, key: str
    ) -> Schedule:
        """Keep a new schedule, once for each request `key`; its first firing is the next one that is due."""
        first = ClockTrigger(cron, time_zone).get_next_fire_time(None, datetime.now(UTC))
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
        return self.keep(schedule)

    def keep(self, schedule: Schedule) -> Schedule:
        """Keep this schedule, unless one of its id is kept; the one that is."""
        try:
            self._scheduler.add_job(**as_job(schedule))
        except ConflictingIdError:
            return self.get(schedule.id) or schedule
        return schedule

    def get(self, schedule_id: str) -> Schedule | None:
        """One schedule."""
        job = self._scheduler.get_job(schedule_id)
        return as_schedule(job, self._store.result(schedule_id)) if job else None

    def all(self) -> list[Schedule]:
        """All schedules, oldest first."""
        found = [as_schedule(job, self._store.result(job.id)) for job in self._scheduler.get_jobs()]
        return sorted(found, key=lambda schedule: int(schedule.id[1:]))

    def pause(self, schedule: Schedule) -> None:
        """Fire no more until it is resumed."""
        with suppress(JobLookupError):
            self._scheduler.pause_job(schedule.id)

    def resume(self, schedule: Schedule) -> Schedule:
        """Fire again, from the next time on: what was due in between is not made up for. The schedule as it is then."""
        with suppress(JobLookupError):
            self._scheduler.resume_job(schedule.id)
        return self.get(schedule.id) or schedule

    def remove(self, schedule: Schedule) -> None:
        """Forget a schedule, and how its newest job ended."""
        with suppress(JobLookupError):
            self._scheduler.remove_job(schedule.id)
        self._store.delete_result(schedule.id)
