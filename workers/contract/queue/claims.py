"""The working side of the queue: claim a job, tell of it, end it. What workers do."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex

import redis

from workers.contract import events as e
from workers.contract import wire
from workers.contract.queue import scripts
from workers.contract.queue.connection import (
    FILE_RETENTION_S,
    LARGEST_FILE_BYTES,
    PREFIX,
    RETENTION_S,
    QueueClient,
    QueueUnavailable,
)
from workers.contract.record import Record
from workers.contract.wire import WireError

MOST_TAKEOVERS = 3
"""A job that took this many workers down with it is given up on the next: it would go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to work on a job: what is written under an attempt that is no longer the newest is refused."""

    record: Record
    attempt: int


class Busy(Exception):
    """The job runs on a worker that is alive; it is looked at again later."""


class Claims(QueueClient):
    """Jobs as the worker `worker` sees them. `lease_s`: how long it counts as alive after its last sign of life.

    Every write says whether it was accepted: False means that the claim is lost, and the work must stop.
    Raises QueueUnavailable while Redis is away.
    """

    def __init__(self, client: "redis.Redis", *, worker: str, lease_s: float) -> None:
        super().__init__(client)
        self.worker = worker
        self._lease_s = lease_s
        self._pending_tokens: dict[str, str] = {}
        """The tokens of claims that may have been granted, by job: Redis went away before it answered."""

    def heartbeat(self) -> None:
        """Give a sign of life."""
        now = time.time()
        self._redis.zadd(PREFIX + "workers", {self.worker: now + self._lease_s})
        self._redis.zremrangebyscore(PREFIX + "workers", "-inf", now - 3600)

    def deregister(self) -> None:
        """Count as gone from now on."""
        self._redis.zrem(PREFIX + "workers", self.worker)

    def claim(self, job_id: str) -> Claim | None:
        """Claim a job that was delivered; None where there is nothing to do: it has ended, or is not its turn.

        Raises Busy where another worker that is alive has it. After QueueUnavailable it is to be called again: whether
        the job is claimed is not known before.
        """
        token = self._pending_tokens.pop(job_id, None) or token_hex(8)
        recheck_s = self._lease_s + 0.5
        try:
            answer = self._run(
                scripts.CLAIM, job_id, time.time(), self.worker, MOST_TAKEOVERS, recheck_s, RETENTION_S, token
            )
            record = self.record(job_id) if answer[0] == b"started" else None
        except QueueUnavailable:
            self._pending_tokens[job_id] = token
            raise
        except WireError:
            self._fail_unread(job_id, attempt=answer[1])
            return None
        match answer[0]:
            case b"busy":
                raise Busy(job_id)
            case b"started" if record is not None:
                return Claim(record=record, attempt=answer[1])
            case _:
                return None

    def _fail_unread(self, job_id: str, *, attempt: int) -> None:
        """End a job that cannot be read, which would be its target's first for ever."""
        failed = e.Failed(
            at_s=time.time(),
            reason="The worker cannot read this job: it is of another release.",
            advice="Run bots and workers of one release, and ask again.",
        )
        self._run(scripts.FINISH, job_id, failed.at_s, attempt, failed.kind, wire.EVENT.encode(failed), RETENTION_S)

    def defer(self, job_id: str, *, for_s: float) -> None:
        """Have a job that was delivered here delivered again, to whoever is free then."""
        self._redis.zadd(PREFIX + "outbox", {job_id: time.time() + for_s})

    def append(self, claim: Claim, event: e.Event) -> bool:
        """Write an event down."""
        data, now = wire.EVENT.encode(event), time.time()
        if isinstance(event, e.TRANSIENT):
            return bool(self._run(scripts.APPEND_TRANSIENT, claim.record.id, now, claim.attempt, event.kind, data))
        return bool(self._run(scripts.APPEND, claim.record.id, now, claim.attempt, data))

    def attach(self, claim: Claim, *, name: str, title: str, data: bytes) -> bool:
        """Keep a file for the job's readers. Raises ValueError above 10 MiB."""
        if len(data) > LARGEST_FILE_BYTES:
            raise ValueError(f"{name} has {len(data)} bytes; a job's file has at most {LARGEST_FILE_BYTES}")
        file = f"{claim.record.id}/{claim.attempt}/{name}"
        self._redis.set(PREFIX + "file:" + file, data, ex=FILE_RETENTION_S)
        return self.append(claim, e.Attached(at_s=time.time(), file=file, name=name, title=title))

    def finish(self, claim: Claim, event: e.Succeeded | e.Failed | e.Cancelled) -> bool:
        """End the job, and hand its target to the next in line in the same step."""
        data = wire.EVENT.encode(event)
        args = (claim.record.id, time.time(), claim.attempt, event.kind, data, RETENTION_S)
        return bool(self._run(scripts.FINISH, *args))

    def requeue(self, claim: Claim, *, reason: str, after_s: float) -> bool:
        """Queue the job again, due in `after_s`; it keeps its place at the head of its target's line."""
        now = time.time()
        data = wire.EVENT.encode(e.Requeued(at_s=now, reason=reason, after_s=after_s))
        return bool(self._run(scripts.REQUEUE, claim.record.id, now, claim.attempt, now + after_s, data))

    def check(self, claims: Iterable[Claim]) -> dict[str, tuple[bool, str | None]]:
        """By job id: whether the claim still holds, and who wishes the job cancelled, if anyone."""
        held = list(claims)
        with self._redis.pipeline(transaction=False) as pipe:
            for claim in held:
                pipe.hmget(f"{PREFIX}job:{claim.record.id}", ["state", "attempt", "cancel_by"])
            answers = pipe.execute()
        return {
            claim.record.id: (
                state == b"running" and int(attempt) == claim.attempt,
                cancel_by.decode() if cancel_by else None,
            )
            for claim, (state, attempt, cancel_by) in zip(held, answers, strict=True)
        }

    def recover(self) -> None:
        """Send every open job again that may have been lost on its way to a worker; claims refuse what was not.

        For a worker's start: Redis may have lost its last second, or the engine's own list.
        """
        for job_id in self._redis.smembers(PREFIX + "open"):
            state = self._redis.hget(f"{PREFIX}job:{job_id.decode()}", "state")
            if state in (b"queued", b"running"):
                self._redis.zadd(PREFIX + "outbox", {job_id: time.time()}, lt=True)
