"""Connection to Redis, and the reading of jobs that bot and workers share."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.contract import wire
from workers.contract.events import Event
from workers.contract.queue import scripts
from workers.contract.queue.prelude import PRELUDE
from workers.contract.record import Record, fold

PREFIX = "seatrial:"
RETENTION_S = 30 * 24 * 3600
"""Time until an ended job expires. A month is enough to look back; versions and reports are stored elsewhere."""
FILE_RETENTION_S = 7 * 24 * 3600
"""Time until an attached file expires."""
LARGEST_FILE_BYTES = 10 * 1024 * 1024

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
    """Base of `Queue` and `Claims`: runs scripts and reads records."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis: Any = client  # redis-py does not annotate the types of replies
        self._scripts: dict[str, Any] = {}

    def record(self, job_id: str) -> Record | None:
        """Return the job's record, or None if the job does not exist or has expired."""
        return next(iter(self._read([job_id])), None)

    def recent(self, limit: int = 20) -> list[Record]:
        """Return the newest jobs, newest first."""
        ids = self._redis.zrevrange(PREFIX + "jobs", 0, limit - 1)
        return self._read([job_id.decode() for job_id in ids])

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

    def _read(self, ids: list[str]) -> list[Record]:
        with self._redis.pipeline(transaction=True) as pipe:
            for job_id in ids:
                pipe.hmget(_job(job_id), ["job", "asked", "seq"])
                pipe.lrange(_job(job_id) + ":events", 0, -1)
                pipe.hvals(_job(job_id) + ":newest")
            answers = pipe.execute()
        records = []
        for place, job_id in enumerate(ids):
            (job, asked, seq), lasting, newest = answers[3 * place : 3 * place + 3]
            if job is None:
                continue
            blank = Record(id=job_id, job=wire.JOB.decode(job), asked=wire.ASKED.decode(asked), seq=int(seq))
            records.append(fold(blank, (wire.EVENT.decode(line) for line in (*lasting, *newest))))
        return records


def _job(job_id: str) -> str:
    return f"{PREFIX}job:{job_id}"
