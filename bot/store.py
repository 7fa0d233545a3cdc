"""The bot's state in Redis: cards, the budget of edits, locks, and the results of schedules.

bot:card:{job}       hash    channel · ts · shown (digest of the rendered card) · posted (events in the thread) ·
                             posted_at · compared (the job's schedule has its result)
bot:at:{channel}:{ts} string the job of the card in this place
bot:gone:{channel}:{ts} string set if the message in this place is no longer a card
bot:lock:{name}      string  a lock that one bot holds
bot:edits            zset    the edits of the last minute
bot:skipped:{job}    string  the firings of the job's schedule that were skipped while it had not ended (JSON)
bot:results          hash    the result of each schedule's newest job (JSON), by the schedule's id
bot:last_schedule    string  the number of the newest schedule
bot:first:{name}     string  the first value for a name

The schedules themselves are in `schedules.job_store`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import redis

from bot.state import PostedCard, Result, SkippedFirings

_P = "seatrial:bot:"
_RETENTION_S = 30 * 24 * 3600
SCHEDULES_KEY = _P + "schedules"
"""`schedules.job_store` writes it."""
LOCK_S = 30
EDITS_A_MINUTE = 45
"""chat.update is a Tier 3 method: 50 and more calls a minute for the app in a workspace, shared by all bots."""

_ACQUIRE_EDIT = """
local now = redis.call('TIME')[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
return 1
"""
_SAVE_RESULT = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Store:
    """The bot's state. Every method raises QueueUnavailable while Redis is away."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis: Any = client  # redis-py's annotations do not fix the types of replies

    def card(self, job_id: str) -> PostedCard | None:
        """Return the job's card, if it was posted. Return None if it cannot be read: a new card replaces it."""
        try:
            found = {key.decode(): value.decode() for key, value in self._redis.hgetall(f"{_P}card:{job_id}").items()}
            return PostedCard(
                channel=found["channel"],
                ts=found["ts"],
                rendered_digest=found.get("shown", ""),
                posted_events=int(found.get("posted", 0)),
                posted_at_s=float(found.get("posted_at", 0)),
                compared="compared" in found,
            )
        except (KeyError, ValueError):
            return None

    def save_card(self, job_id: str, *, channel: str, ts: str, rendered_digest: str) -> PostedCard:
        """Store the card that was posted, and return it."""
        key, now_s = f"{_P}card:{job_id}", self._now_s()
        card = {"channel": channel, "ts": ts, "shown": rendered_digest, "posted_at": now_s}
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping=card).expire(key, _RETENTION_S)
            pipe.set(f"{_P}at:{channel}:{ts}", job_id, ex=_RETENTION_S).execute()
        return PostedCard(channel=channel, ts=ts, rendered_digest=rendered_digest, posted_events=0, posted_at_s=now_s)

    def delete_card(self, job_id: str, card: PostedCard) -> None:
        """Forget a card that was deleted or takes no edits. Its thread is posted again under the next card."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(f"{_P}card:{job_id}", f"{_P}at:{card.channel}:{card.ts}")
            pipe.set(f"{_P}gone:{card.channel}:{card.ts}", 1, ex=_RETENTION_S).execute()

    def is_gone(self, *, channel: str, ts: str) -> bool:
        """Return whether `delete_card` forgot the card in this place."""
        return bool(self._redis.exists(f"{_P}gone:{channel}:{ts}"))

    def set_rendered(self, job_id: str, rendered_digest: str) -> None:
        """Store the digest of the message that the card shows now."""
        self._redis.hset(f"{_P}card:{job_id}", "shown", rendered_digest)

    def set_posted(self, job_id: str, posted_events: int) -> None:
        """Store the number of events that the thread has."""
        self._redis.hset(f"{_P}card:{job_id}", mapping={"posted": posted_events, "posted_at": self._now_s()})

    def _now_s(self) -> float:
        """Return Redis' time: bots with different clocks read what is stored here."""
        return float(self._redis.time()[0])

    def job_at(self, *, channel: str, ts: str) -> str | None:
        """Return the id of the job of a card, if the message is a card."""
        return found.decode() if (found := self._redis.get(f"{_P}at:{channel}:{ts}")) else None

    def acquire_edit(self) -> bool:
        """Take one edit from the budget for the last minute, which all bots share. Return False if it is used up."""
        return bool(self._redis.eval(_ACQUIRE_EDIT, 1, _P + "edits", EDITS_A_MINUTE, uuid4().hex))

    @contextmanager
    def locked(self, name: str) -> Iterator[bool]:
        """Try to lock `name`, and yield True on success. The lock ends with the context, or after LOCK_S."""
        key, token = f"{_P}lock:{name}", uuid4().hex
        acquired = bool(self._redis.set(key, token, nx=True, ex=LOCK_S))
        try:
            yield acquired
        finally:
            if acquired:
                self._redis.eval(_UNLOCK, 1, key, token)

    def get_or_set(self, name: str, value: str, *, for_s: float = 3600.0) -> str:
        """Return the first value for `name` within the last `for_s` seconds, or else store and return `value`."""
        key = f"{_P}first:{name}"
        self._redis.set(key, value, nx=True, px=int(for_s * 1000))
        found = self._redis.get(key)
        return found.decode() if found else value

    def is_known(self, name: str) -> bool:
        """Return whether `get_or_set` has a value for `name`."""
        return bool(self._redis.exists(f"{_P}first:{name}"))

    def new_schedule_id(self) -> str:
        """Return the next free id: "s1", "s2", …"""
        return f"s{self._redis.incr(_P + 'last_schedule')}"

    def save_result(self, schedule_id: str, result: Result) -> None:
        """Store the result of a schedule's job unless the schedule was removed, and mark its card as compared."""
        stored = json.dumps({"job_id": result.job_id, "word": result.status, "at_s": result.at_s})
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.eval(_SAVE_RESULT, 2, SCHEDULES_KEY, _P + "results", schedule_id, stored)
            pipe.hset(f"{_P}card:{result.job_id}", "compared", 1).execute()

    def result(self, schedule_id: str) -> Result | None:
        """Return the result of a schedule's newest job, or None if there is none that can be read."""
        try:
            stored = json.loads(self._redis.hget(_P + "results", schedule_id) or b"")
            return Result(job_id=str(stored["job_id"]), status=str(stored["word"]), at_s=float(stored["at_s"]))
        except (ValueError, KeyError, TypeError):
            return None

    def skipped(self, job_id: str) -> SkippedFirings | None:
        """Return the firings that were skipped because the job had not ended."""
        found = self._redis.get(f"{_P}skipped:{job_id}")
        return SkippedFirings(**json.loads(found)) if found else None

    def save_skipped(self, job_id: str, skipped: SkippedFirings) -> None:
        """Store the firings that were skipped because the job had not ended."""
        self._redis.set(f"{_P}skipped:{job_id}", json.dumps(asdict(skipped)), ex=_RETENTION_S)

    def delete_result(self, schedule_id: str) -> None:
        """Delete the result of a schedule."""
        self._redis.hdel(_P + "results", schedule_id)
