"""Where schedules are kept: APScheduler's Redis job store, made fit for many schedulers at once.

The store as it comes must not be shared between schedulers (APScheduler 3's user guide, "Basic concepts"). Here every
bot has one, on the same keys. What makes that sound:

* A job is moved on only over the time that was read. A bot that was held up undoes nothing that others did meanwhile;
  pausing wins over firing.
* It keeps JSON. The store as it comes keeps pickles, so that whoever writes to Redis would run code where the tokens of
  Slack are; and which function a job calls is not kept at all.
* A job that cannot be read, because a newer release wrote it or its time zone is not known on this machine, is left
  alone. The store as it comes removes it.

bot:schedules   hash   the schedules (JSON) by their ids
bot:run_times   zset   when each fires next, in Unix seconds; one that is paused is not in it
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import redis
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.redis import RedisJobStore

from bot.schedules.clock import ClockTrigger
from bot.state import Result, Schedule
from bot.store import SCHEDULES_KEY

logger = logging.getLogger(__name__)

GRACE_S = 300
"""A firing that was missed while no bot ran is made up for within this time, and reported as missed after it."""

_ASKED = ("cron", "time_zone", "command", "channel", "by", "by_name")

_ADD = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) end
return 1
"""
# ARGV: id, schedule, when it runs next, when it was to run next as far as the caller knows; '' of both is "paused".
_UPDATE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local kept = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
elseif tonumber(kept or nil) == tonumber(ARGV[4]) then
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
else
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


def ask(**_: Any) -> None:
    """What every job does: ask for its command. Only a bot can, so that a Timekeeper's executor does it."""
    raise NotImplementedError("schedules are fired by a Timekeeper")


class _ReadJob(Job):  # type: ignore[misc]  # APScheduler publishes no types
    """A job as it was read: `read_run_time` is when it was to run next, whatever is made of it since."""

    __slots__ = ("read_run_time",)


class JobStore(RedisJobStore):  # type: ignore[misc]
    """The schedules in Redis, for any number of schedulers. Raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(jobs_key=SCHEDULES_KEY, run_times_key="seatrial:bot:run_times")
        self.redis: Any = client
        self._unreadable: set[bytes] = set()

    def lookup_job(self, job_id: str) -> Job | None:
        """The job, or None where there is none that can be read."""
        state = self.redis.hget(self.jobs_key, job_id)
        return next(iter(self._reconstitute_jobs([(job_id.encode(), state)])), None)

    def add_job(self, job: Job) -> None:
        """Keep a new job. Raises ConflictingIdError where there is one of its id."""
        if not self._eval(_ADD, job.id, _json(job), _seconds(job.next_run_time)):
            raise ConflictingIdError(job.id)

    def update_job(self, job: Job) -> bool:
        """Keep when a job runs next, unless that was changed since it was read, or the job removed; whether it was."""
        times = _seconds(job.next_run_time), _seconds(job.read_run_time)
        if not self._eval(_UPDATE, job.id, _json(job), *times):
            return False
        job.read_run_time = job.next_run_time
        return True

    def _eval(self, script: str, *args: str) -> int:
        return int(self.redis.eval(script, 2, self.jobs_key, self.run_times_key, *args))

    def _reconstitute_job(self, job_state: bytes) -> Job:
        schedule = Schedule(**json.loads(job_state))
        job = _ReadJob(
            self._scheduler,
            **as_job(schedule),
            args=(),
            executor="default",
            misfire_grace_time=GRACE_S,
            coalesce=False,
            max_instances=1,
        )
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
                if job_id not in self._unreadable:  # once: it is read each second while it is due
                    self._unreadable.add(job_id)
                    logger.error("schedule %s cannot be read and does not fire: %r", job_id.decode(), error)
        return jobs


def as_job(schedule: Schedule) -> dict[str, Any]:
    """A schedule as what a job of APScheduler is made of."""
    next_due_s = schedule.next_due_s
    return {
        "id": schedule.id,
        "name": schedule.command,
        "func": ask,
        "kwargs": {name: getattr(schedule, name) for name in _ASKED},
        "trigger": ClockTrigger(schedule.cron, schedule.time_zone),
        "next_run_time": None if next_due_s is None else datetime.fromtimestamp(next_due_s, UTC),
    }


def as_schedule(job: Job, result: Result | None = None) -> Schedule:
    """The schedule that a job was made of, and how its newest firing ended."""
    next_due_s = None if job.next_run_time is None else job.next_run_time.timestamp()
    return Schedule(id=job.id, **job.kwargs, next_due_s=next_due_s, result=result)


def _json(job: Job) -> str:
    kept = asdict(as_schedule(job))
    del kept["result"]  # bot.store's
    return json.dumps(kept)


def _seconds(run_time: datetime | None) -> str:
    return "" if run_time is None else repr(run_time.timestamp())
