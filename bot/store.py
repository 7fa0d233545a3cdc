"""What the bot remembers in Redis: where each job's card is, the budget of edits, how schedules' jobs ended.

bot:card:{job}       hash    channel · ts · shown (the last picture's hash) · shown_at · posted (events told in its
                             thread) · posted_at · compared (its schedule knows how it ended)
bot:at:{channel}:{ts} string the job of the card at that place
bot:lock:{name}      string  one bot at a time
bot:edits            zset    the edits of the last minute
bot:results          hash    how the newest job of each schedule ended (JSON), by the schedule's id; the schedules
                             themselves are `schedules.job_store`'s
bot:last_schedule    string  the number of the newest schedule
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

from bot.state import Card, Result

_P = "seatrial:bot:"
_RETENTION_S = 30 * 24 * 3600
SCHEDULES_KEY = _P + "schedules"
"""Kept by `schedules.job_store`."""
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
_NOTE_RESULT = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Store:
    """The bot's memory. Raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis: Any = client  # redis-py's annotations leave open what a reply is
        self._save_card = self._redis.register_script(_KEEP_CARD)

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

    def save_card(self, job_id: str, *, channel: str, ts: str, shown: str) -> None:
        """Remember a card that was posted."""
        card, at = f"{_P}card:{job_id}", f"{_P}at:{channel}:{ts}"
        self._save_card(keys=[card, at], args=[job_id, channel, ts, shown, time.time(), _RETENTION_S])

    def set_rendered(self, job_id: str, shown: str) -> None:
        """Remember which picture the card shows now."""
        self._redis.hset(f"{_P}card:{job_id}", mapping={"shown": shown, "shown_at": time.time()})

    def set_posted(self, job_id: str, posted: int) -> None:
        """Remember how many events the thread has been told of."""
        self._redis.hset(f"{_P}card:{job_id}", mapping={"posted": posted, "posted_at": time.time()})

    def job_at(self, *, channel: str, ts: str) -> str | None:
        """The job whose card stands there."""
        found = self._redis.get(f"{_P}at:{channel}:{ts}")
        return found.decode() if found else None

    def acquire_edit(self) -> bool:
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

    def get_or_set(self, name: str, value: str, *, for_s: float = 3600.0) -> str:
        """`value`, or whatever was said first under `name` within the last `for_s`."""
        key = f"{_P}first:{name}"
        self._redis.set(key, value, nx=True, px=int(for_s * 1000))
        found = self._redis.get(key)
        return found.decode() if found else value

    def new_schedule_id(self) -> str:
        """The next schedule's id: "s1", "s2", …"""
        return f"s{self._redis.incr(_P + 'last_schedule')}"

    def save_result(self, schedule_id: str, result: Result) -> None:
        """Remember how a schedule's job ended, where there is that schedule, and with its card that this is settled."""
        with self._redis.pipeline(transaction=True) as pipe:
            keys = (SCHEDULES_KEY, _P + "results")
            pipe.eval(_NOTE_RESULT, len(keys), *keys, schedule_id, json.dumps(asdict(result)))
            pipe.hset(f"{_P}card:{result.job_id}", "compared", 1)
            pipe.execute()

    def result(self, schedule_id: str) -> Result | None:
        """How the newest job of a schedule ended."""
        found = self._redis.hget(_P + "results", schedule_id)
        return Result(**json.loads(found)) if found else None

    def delete_result(self, schedule_id: str) -> None:
        """Forget how a schedule's jobs ended."""
        self._redis.hdel(_P + "results", schedule_id)
