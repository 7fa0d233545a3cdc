"""What the bot remembers in Redis: where each job's card is, the budget of edits, schedules. The one owner of its keys.

bot:card:{job}       hash    channel · ts · shown (the last picture's hash) · shown_at · posted (events told in its
                             thread) · posted_at · compared (its schedule knows how it ended)
bot:at:{channel}:{ts} string the job of the card at that place
bot:lock:{name}      string  one bot at a time
bot:edits            zset    the edits of the last minute
bot:schedules        hash    schedules as they were added (JSON) by id
bot:schedule:{id}    hash    what changes of one: last_due_s · paused · result (JSON); each by itself, so that no bot
                             undoes what another does at the same time
bot:first:{name}     string  what was said first under a name
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import redis

from bot.remembered import Card, Result, Schedule

_P = "seatrial:bot:"
_RETENTION_S = 30 * 24 * 3600
EDITS_A_MINUTE = 45
"""chat.update is of Tier 3, 50 and more a minute for the app in a workspace, whatever the number of bots."""

_KEEP_CARD = """
redis.call('HSET', KEYS[1], 'channel', ARGV[2], 'ts', ARGV[3], 'shown', ARGV[4], 'posted_at', ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[6])
"""
_TAKE_EDIT = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - 60)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], 60)
return 1
"""
_CHANGE_SCHEDULE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1
"""
# The time last seen to never goes back: a bot that was held up must not have another's firings done again.
_NOTE_DUE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
if tonumber(redis.call('HGET', KEYS[2], 'last_due_s')) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[2], 'last_due_s', ARGV[2])
end
return 1
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Store:
    """The bot's memory. Raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis: Any = client  # redis-py's annotations leave open what a reply is
        self._keep_card = self._redis.register_script(_KEEP_CARD)

    def card(self, job_id: str) -> Card | None:
        """Where the job's card is."""
        found = {key.decode(): value.decode() for key, value in self._redis.hgetall(f"{_P}card:{job_id}").items()}
        if not found:
            return None
        return Card(
            channel=found["channel"],
            ts=found["ts"],
            shown=found.get("shown", ""),
            shown_at_s=float(found.get("shown_at", 0)),
            posted=int(found.get("posted", 0)),
            posted_at_s=float(found.get("posted_at", 0)),
            compared="compared" in found,
        )

    def keep_card(self, job_id: str, *, channel: str, ts: str, shown: str) -> None:
        """Remember a card that was posted."""
        card, at = f"{_P}card:{job_id}", f"{_P}at:{channel}:{ts}"
        self._keep_card(keys=[card, at], args=[job_id, channel, ts, shown, time.time(), _RETENTION_S])

    def note_shown(self, job_id: str, shown: str) -> None:
        """Remember which picture the card shows now."""
        self._redis.hset(f"{_P}card:{job_id}", mapping={"shown": shown, "shown_at": time.time()})

    def note_posted(self, job_id: str, posted: int) -> None:
        """Remember how many events the thread has been told of."""
        self._redis.hset(f"{_P}card:{job_id}", mapping={"posted": posted, "posted_at": time.time()})

    def job_at(self, *, channel: str, ts: str) -> str | None:
        """The job whose card stands there."""
        found = self._redis.get(f"{_P}at:{channel}:{ts}")
        return found.decode() if found else None

    def take_edit(self) -> bool:
        """Take one edit from the minute's budget, which all bots share; False when it is used up."""
        return bool(self._redis.eval(_TAKE_EDIT, 1, _P + "edits", time.time(), EDITS_A_MINUTE, uuid4().hex))

    @contextmanager
    def locked(self, name: str, *, for_s: float = 30.0) -> Iterator[bool]:
        """Whether `name` is ours until the context is left, or for `for_s` if this process dies."""
        key, token = f"{_P}lock:{name}", uuid4().hex
        got = bool(self._redis.set(key, token, nx=True, px=int(for_s * 1000)))
        try:
            yield got
        finally:
            if got:
                self._redis.eval(_UNLOCK, 1, key, token)

    def first(self, name: str, value: str, *, for_s: float = 3600.0) -> str:
        """`value`, or whatever was said first under `name` within the last `for_s`."""
        key = f"{_P}first:{name}"
        self._redis.set(key, value, nx=True, px=int(for_s * 1000))
        found = self._redis.get(key)
        return found.decode() if found else value

    def new_schedule_id(self) -> str:
        """The next schedule's id: "s1", "s2", …"""
        return f"s{self._redis.incr(_P + 'last_schedule')}"

    def keep_schedule(self, schedule: Schedule) -> None:
        """Remember a schedule, new or changed, whole."""
        added = asdict(schedule)
        result = added.pop("result")
        state = {"last_due_s": repr(added.pop("last_due_s")), "paused": int(added.pop("paused"))}
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(_P + "schedules", schedule.id, json.dumps(added))
            pipe.hset(_schedule(schedule.id), mapping=state | ({"result": json.dumps(result)} if result else {}))
            pipe.execute()

    def forget_schedule(self, schedule_id: str) -> bool:
        """Forget a schedule; whether there was one."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(_P + "schedules", schedule_id)
            pipe.delete(_schedule(schedule_id))
            return bool(pipe.execute()[0])

    def note_due(self, schedule_id: str, due_s: float) -> None:
        """Remember that what was due until `due_s` is seen to."""
        self._redis.eval(_NOTE_DUE, 2, _P + "schedules", _schedule(schedule_id), schedule_id, repr(due_s))

    def pause_schedule(self, schedule_id: str) -> None:
        """Remember that a schedule is paused."""
        self._change_schedule(self._redis, schedule_id, "paused", 1)

    def resume_schedule(self, schedule_id: str, now_s: float) -> None:
        """Remember that a schedule fires again, what was due until now seen to."""
        self._change_schedule(self._redis, schedule_id, "paused", 0, "last_due_s", repr(now_s))

    def note_result(self, schedule_id: str, result: Result) -> None:
        """Remember how a schedule's job ended, and with its card that the schedule knows."""
        with self._redis.pipeline(transaction=True) as pipe:
            self._change_schedule(pipe, schedule_id, "result", json.dumps(asdict(result)))
            pipe.hset(f"{_P}card:{result.job_id}", "compared", 1)
            pipe.execute()

    def schedule(self, schedule_id: str) -> Schedule | None:
        """One schedule."""
        found = self._read_schedules([schedule_id], [self._redis.hget(_P + "schedules", schedule_id)])
        return found[0] if found else None

    def schedules(self) -> list[Schedule]:
        """All schedules, oldest first."""
        found = self._redis.hgetall(_P + "schedules")
        schedules = self._read_schedules([schedule_id.decode() for schedule_id in found], list(found.values()))
        return sorted(schedules, key=lambda schedule: int(schedule.id[1:]))

    def _change_schedule(self, redis_or_pipe: Any, schedule_id: str, *fields: str | int) -> None:
        keys = (_P + "schedules", _schedule(schedule_id))
        redis_or_pipe.eval(_CHANGE_SCHEDULE, len(keys), *keys, schedule_id, *fields)

    def _read_schedules(self, ids: list[str], added: list[bytes | None]) -> list[Schedule]:
        """Those of them that there are; one that is forgotten right now is none."""
        with self._redis.pipeline(transaction=False) as pipe:
            for schedule_id in ids:
                pipe.hmget(_schedule(schedule_id), "last_due_s", "paused", "result")
            states = pipe.execute()
        return [
            Schedule(
                **json.loads(data),
                last_due_s=float(last_due_s),
                paused=paused == b"1",
                result=Result(**json.loads(result)) if result else None,
            )
            for data, (last_due_s, paused, result) in zip(added, states, strict=True)
            if data is not None and last_due_s is not None
        ]


def _schedule(schedule_id: str) -> str:
    return f"{_P}schedule:{schedule_id}"
