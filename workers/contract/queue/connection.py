"""Connection to Redis, and the reading of jobs that bot and workers share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast, get_args

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.contract import wire
from workers.contract.events import Event
from workers.contract.jobs import Asked, UnreadableJob
from workers.contract.queue import scripts
from workers.contract.queue.prelude import PRELUDE
from workers.contract.record import ImpossibleHistory, Record, State, fold
from workers.contract.wire import WireError

PREFIX = "seatrial:"
RETENTION_S = 30 * 24 * 3600
"""Time until an ended job expires. A month is enough to look back; versions and reports are stored elsewhere."""
CHECKED_JOBS = 200
"""The newest jobs that are checked for unreadable ones."""
FILE_RETENTION_S = 7 * 24 * 3600
"""Time until an attached file expires."""
LARGEST_FILE_BYTES = 10 * 1024 * 1024

_NOBODY = Asked(by="", by_name="", where="")
_STATES = frozenset(get_args(State))
QueueUnavailable = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError)
"""Errors of every call while Redis is unreachable or refuses writes: it is full, read-only or lacks replicas."""


def connect(url: str) -> "redis.Redis":
    """Return a client. Its calls fail within about 2 s if Redis is unavailable: Slack waits 3 s for a reply."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=1.0,
        socket_timeout=2.0,
        health_check_interval=15,
        # One immediate retry repairs a stale connection. Callers decide how long to wait for Redis.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[redis.ConnectionError],
    )


class QueueClient:
    """Base of `Queue` and `Claims`: runs scripts and reads records.

    A record that this release cannot read has a reason in `unreadable`. It never hides another record.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._redis: Any = client  # redis-py does not annotate the types of replies
        self._scripts: dict[str, Any] = {}

    def record(self, job_id: str) -> Record | None:
        """Return the job's record, or None if the job does not exist or has expired."""
        return next(iter(self._read([job_id])), None)

    def recent(self, limit: int = 20) -> list[Record]:
        """Return the newest jobs, newest first."""
        ids = self._redis.zrevrange(PREFIX + "jobs", 0, limit - 1)
        return self._read([job_id.decode(errors="replace") for job_id in ids])

    def unreadable(self) -> list[str]:
        """Return the ids of the newest jobs that this release cannot read."""
        return [record.id for record in self.recent(CHECKED_JOBS) if record.unreadable]

    def events(self, job_id: str, start: int = 0) -> list[Event]:
        """Return the job's stored events from number `start` on, oldest first."""
        return [wire.EVENT.decode(line) for line in self._redis.lrange(_job(job_id) + ":events", start, -1)]

    def now_s(self) -> float:
        """Return the present time in Unix seconds by Redis' clock, which all bots and workers share."""
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)

    def deliver_due(self) -> int:
        """Deliver the jobs that are due, and return their number. Any number of processes may call it."""
        return int(self._run(scripts.DELIVER_DUE))

    def _run(self, script: str, *args: Any) -> Any:
        if script not in self._scripts:  # registering a script hashes its source
            self._scripts[script] = self._redis.register_script(PRELUDE + script)
        return self._scripts[script](keys=[PREFIX], args=args)

    def _states(self, ids: Sequence[str]) -> list[bytes | None]:
        """Return the state of each job, or None for a job that does not exist or is damaged."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(_job(job_id), "state")
            answers = pipe.execute(raise_on_error=False)
        return [answer if isinstance(answer, bytes) else None for answer in answers]

    def _read(self, ids: list[str]) -> list[Record]:
        with self._redis.pipeline(transaction=True) as pipe:
            for job_id in ids:
                pipe.hmget(_job(job_id), ["job", "asked", "seq", "state"])
                pipe.lrange(_job(job_id) + ":events", 0, -1)
                pipe.hvals(_job(job_id) + ":newest")
            answers = pipe.execute(raise_on_error=False)
        found = (_as_record(job_id, *answers[3 * place : 3 * place + 3]) for place, job_id in enumerate(ids))
        return [record for record in found if record is not None]


def _job(job_id: str) -> str:
    return f"{PREFIX}job:{job_id}"


def _as_record(job_id: str, facts: Any, lasting: Any, newest: Any) -> Record | None:
    """Return the record of a job from the replies of Redis, or None if the job does not exist.

    Any reply makes a record. An error of Redis is raised unless it is about the type of the job's own keys.
    """
    for answer in (facts, lasting, newest):
        if isinstance(answer, redis.ResponseError) and not str(answer).startswith("WRONGTYPE"):
            raise answer
    if isinstance(facts, redis.ResponseError):
        return Record(id=job_id, job=UnreadableJob(), asked=_NOBODY, state="lost", unreadable="its key is no hash")
    if facts == [None] * 4:
        return None
    job, asked, seq, state = facts
    read = Record(id=job_id, job=_decoded(wire.JOB, job, UnreadableJob()), asked=_decoded(wire.ASKED, asked, _NOBODY))
    try:
        blank = Record(id=job_id, job=wire.JOB.decode(job or b""), asked=wire.ASKED.decode(asked or b""), seq=int(seq))
        if isinstance(lasting, redis.ResponseError) or isinstance(newest, redis.ResponseError):
            raise ImpossibleHistory("its events are no list or hash")
        return fold(blank, (wire.EVENT.decode(line) for line in (*lasting, *newest)))
    except (WireError, ValueError, TypeError) as error:
        known = (state or b"").decode(errors="replace")
        state = known if known in _STATES else "lost"
        seq = int(seq) if (seq or b"").isdigit() else 0
        return replace(read, seq=seq, state=cast(State, state), unreadable=str(error))


def _decoded(codec: wire.Codec[Any], data: bytes | None, otherwise: Any) -> Any:
    try:
        return codec.decode(data or b"")
    except WireError:
        return otherwise
