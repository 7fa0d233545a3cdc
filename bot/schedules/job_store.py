"""APScheduler's Redis job store, made safe for many schedulers at once.

APScheduler's own store must not be shared between schedulers (its user guide, "Basic concepts"). Here every bot has a
scheduler on the same keys. Four changes make that sound:

* Jobs are due by Redis' clock, which all bots share. APScheduler takes the time of the bot's machine.

* A job's next run time is changed only if it still is the one that was read. A bot that was held up undoes no change
  of another bot, and a pause wins over a firing.
* Jobs are stored as JSON without the function that they call. With pickles, write access to Redis would mean code
  execution in the process that holds Slack's tokens.
* A job that cannot be read stays in the store, because a newer release may have written it, or this machine may lack
  its time zone. APScheduler's own store removes such a job.

bot:schedules   hash   the schedules (JSON) by their ids
bot:run_times   zset   the next run times in Unix seconds, without paused schedules
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, cast

import redis
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.redis import RedisJobStore

from bot.schedules.clock import ClockTrigger
from bot.state import Result, Schedule
from bot.store import SCHEDULES_KEY

logger = logging.getLogger(__name__)

GRACE_S = 300
"""A firing that was missed while no bot ran is repeated within this time, and reported as missed after it."""

_ADD = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) end
return 1
"""
# ARGV: id, schedule, next run time, next run time as the caller read it. For both times, '' means "paused".
_UPDATE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local stored = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
elseif tonumber(stored or nil) == tonumber(ARGV[4]) then
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
else
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


def submit(schedule: Schedule) -> None:
    """Stand for the function that APScheduler requires. A Timekeeper's executor submits the command instead."""
    raise NotImplementedError("schedules are fired by a Timekeeper")


class _ReadJob(Job):  # type: ignore[misc]  # APScheduler publishes no types
    """A job from the store. `read_run_time` is its next run time when it was read, at the time `read_at`."""

    __slots__ = ("read_at", "read_run_time")

    def _get_run_times(self, now: datetime) -> list[datetime]:
        return cast(list[datetime], super()._get_run_times(self.read_at))


class JobStore(RedisJobStore):  # type: ignore[misc]
    """The schedules in Redis, for any number of schedulers. Raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(jobs_key=SCHEDULES_KEY, run_times_key="seatrial:bot:run_times")
        self.redis: Any = client
        self._unreadable: set[bytes] = set()

    def now(self) -> datetime:
        """Return the present time by Redis' clock."""
        seconds, microseconds = self.redis.time()
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the jobs that are due by Redis' clock."""
        read_at = self.now()
        jobs = cast(list[Job], super().get_due_jobs(read_at))
        for job in jobs:
            job.read_at = read_at
        return jobs

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the job, or None if it does not exist or cannot be read."""
        state = self.redis.hget(self.jobs_key, job_id)
        return next(iter(self._reconstitute_jobs([(job_id.encode(), state)])), None)

    def add_job(self, job: Job) -> None:
        """Store a new job. Raises ConflictingIdError if its id exists."""
        if not self._eval(_ADD, job.id, _json(job), _seconds(job.next_run_time)):
            raise ConflictingIdError(job.id)

    def update_job(self, job: Job) -> bool:
        """Store a job's next run time. Return False if that was changed since it was read, or the job removed."""
        times = _seconds(job.next_run_time), _seconds(job.read_run_time)
        if not self._eval(_UPDATE, job.id, _json(job), *times):
            return False
        job.read_run_time = job.next_run_time
        return True

    def _eval(self, script: str, *args: str) -> int:
        return int(self.redis.eval(script, 2, self.jobs_key, self.run_times_key, *args))

    def _reconstitute_job(self, job_state: bytes) -> Job:
        schedule = Schedule(**json.loads(job_state))
        defaults = {"args": (), "executor": "default", "coalesce": False, "max_instances": 1}
        job = _ReadJob(self._scheduler, **as_job(schedule), **defaults, misfire_grace_time=GRACE_S)
        job.read_run_time = job.next_run_time
        job._jobstore_alias = self._alias
        return job

    def _reconstitute_jobs(self, job_states: Iterable[tuple[bytes, bytes | None]]) -> list[Job]:
        jobs = []
        for job_id, state in job_states:
            if state is None:
                continue  # removed a moment ago
            try:
                jobs.append(self._reconstitute_job(state))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                if job_id not in self._unreadable:  # log once: a due job is read every second
                    self._unreadable.add(job_id)
                    logger.error("schedule %s cannot be read and does not fire: %r", job_id.decode(), error)
        return jobs


def as_job(schedule: Schedule) -> dict[str, Any]:
    """Return the arguments of APScheduler's job for a schedule."""
    next_due_s = schedule.next_due_s
    return {
        "id": schedule.id,
        "name": schedule.command,
        "func": submit,
        "kwargs": {"schedule": schedule},
        "trigger": ClockTrigger(schedule.cron, schedule.time_zone),
        "next_run_time": None if next_due_s is None else datetime.fromtimestamp(next_due_s, UTC),
    }


def as_schedule(job: Job, result: Result | None = None) -> Schedule:
    """Return the schedule of a job, with the result of its newest firing."""
    schedule: Schedule = job.kwargs["schedule"]
    return replace(schedule, next_due_s=job.next_run_time and job.next_run_time.timestamp(), result=result)


def _json(job: Job) -> str:
    stored = asdict(as_schedule(job))
    del stored["result"]  # `bot.store` has it
    return json.dumps(stored)


def _seconds(run_time: datetime | None) -> str:
    return "" if run_time is None else repr(run_time.timestamp())
