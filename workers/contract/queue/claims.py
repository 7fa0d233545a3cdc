"""The workers' client of the queue: claim jobs, append their events and end them."""

from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex

import redis

from workers.contract import events as e, wire
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

LEFT_FOR_S, LOOK_AGAIN_S = 900.0, 5.0
"""During an upgrade, a job of a newer release is left for that release's workers for a quarter of an hour."""
MOST_TAKEOVERS = 3
"""Takeovers of a job after which it is given up, because it may be what kills the workers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim, granted at `at_s` by Redis' clock. Writes with an attempt that is not the newest are refused."""

    record: Record
    attempt: int
    at_s: float


class Busy(Exception):
    """The job is running on a live worker. It will be delivered again later."""


class Claims(QueueClient):
    """Client of the queue for worker `worker`. Its lease ends `lease_s` seconds after its last heartbeat.

    Writes return False if the claim was lost. The work must then stop. Raises QueueUnavailable while Redis is
    unavailable.
    """

    def __init__(self, client: "redis.Redis", *, worker: str, lease_s: float) -> None:
        super().__init__(client)
        self.worker = worker
        self._lease_s = lease_s
        self._pending_tokens: dict[str, str] = {}
        """Tokens of claims, by job, that may have been granted: the connection broke before the reply."""

    def heartbeat(self) -> None:
        self._run(scripts.HEARTBEAT, self.worker, self._lease_s)

    def deregister(self) -> None:
        self._redis.zrem(PREFIX + "workers", self.worker)

    def claim(self, job_id: str) -> Claim | None:
        """Claim a delivered job. Return None if it has ended, if another job has its resource, or if it is left.

        A job that this release cannot read is left for workers that can, and fails after LEFT_FOR_S. Raises Busy if
        another live worker runs it. After QueueUnavailable, call it again: the claim may have been granted.
        """
        if self._leave_unreadable(job_id):
            return None
        token = self._pending_tokens.pop(job_id, None) or token_hex(8)
        recheck_s = self._lease_s + 0.5
        args = (job_id, self.worker, MOST_TAKEOVERS, recheck_s, RETENTION_S, token)
        try:
            answer = self._run(scripts.CLAIM, *args)
            record = self.record(job_id) if answer[0] == b"started" else None
        except QueueUnavailable:
            self._pending_tokens[job_id] = token
            raise
        if answer[0] == b"busy":
            raise Busy(job_id)
        if record is not None and record.unreadable:
            self._fail_unreadable(job_id, attempt=answer[1])
            return None
        return Claim(record=record, attempt=answer[1], at_s=float(answer[2])) if record else None

    def _leave_unreadable(self, job_id: str) -> bool:
        """Have a job that cannot be read delivered again later. Return False if it is readable or was left too long."""
        record = self.record(job_id)
        if record is None or not record.unreadable:
            return False
        reason = "This worker cannot read the job; workers of the release that wrote it have 15 minutes to take it."
        event = wire.EVENT.encode_without_time(e.Requeued(reason=reason, after_s=LOOK_AGAIN_S))
        return bool(self._run(scripts.LEAVE, job_id, LOOK_AGAIN_S, LEFT_FOR_S, event))

    def _fail_unreadable(self, job_id: str, *, attempt: int) -> None:
        """End a job that cannot be read. Otherwise it would block its resource for ever."""
        failed = e.Failed(
            reason="The worker cannot read this job. It was submitted by another release of Seatrial.",
            advice="Run the bot and the workers in one release, and submit the job again.",
        )
        data = wire.EVENT.encode_without_time(failed)
        self._run(scripts.FINISH, job_id, attempt, failed.kind, data, RETENTION_S)

    def defer(self, job_id: str, *, for_s: float) -> None:
        """Have a delivered job delivered again later, to any free worker."""
        self._run(scripts.DEFER, job_id, for_s)

    def append(self, claim: Claim, event: e.Event) -> bool:
        data = wire.EVENT.encode_without_time(event)
        if isinstance(event, e.TRANSIENT):
            return bool(self._run(scripts.APPEND_TRANSIENT, claim.record.id, claim.attempt, event.kind, data))
        return bool(self._run(scripts.APPEND, claim.record.id, claim.attempt, data))

    def attach(self, claim: Claim, *, name: str, title: str, data: bytes) -> bool:
        """Store a file with the job. Raises ValueError above 10 MiB."""
        if len(data) > LARGEST_FILE_BYTES:
            raise ValueError(f"{name} has {len(data)} bytes; a job's file has at most {LARGEST_FILE_BYTES}")
        file = f"{claim.record.id}/{claim.attempt}/{name}"
        self._redis.set(PREFIX + "file:" + file, data, ex=FILE_RETENTION_S)
        return self.append(claim, e.Attached(file=file, name=name, title=title))

    def finish(self, claim: Claim, event: e.Succeeded | e.Failed | e.Cancelled) -> bool:
        """End the job and give its resource to the next job in line, in one step."""
        data = wire.EVENT.encode_without_time(event)
        return bool(self._run(scripts.FINISH, claim.record.id, claim.attempt, event.kind, data, RETENTION_S))

    def requeue(self, claim: Claim, *, reason: str, after_s: float) -> bool:
        """Queue the job again, due in `after_s` seconds. It stays the first in the line of its resource."""
        data = wire.EVENT.encode_without_time(e.Requeued(reason=reason, after_s=after_s))
        return bool(self._run(scripts.REQUEUE, claim.record.id, claim.attempt, after_s, data))

    def check(self, claims: Iterable[Claim]) -> dict[str, tuple[bool, str | None]]:
        """Return, by job id, True if the claim is still held, and the person who asked to cancel the job, if any."""
        claims = list(claims)
        with self._redis.pipeline(transaction=False) as pipe:
            for claim in claims:
                pipe.hmget(f"{PREFIX}job:{claim.record.id}", ["state", "attempt", "cancel_by"])
            answers = pipe.execute()
        return {
            claim.record.id: (
                state == b"running" and int(attempt) == claim.attempt,
                cancel_by.decode() if cancel_by else None,
            )
            for claim, (state, attempt, cancel_by) in zip(claims, answers, strict=True)
        }

    def recover(self) -> None:
        """Deliver all open jobs again. A second delivery of a job does no harm, because `claim` refuses it.

        Workers call it at start: Redis may have lost its last second of writes, or Dramatiq's list.
        """
        for job_id in self._redis.smembers(PREFIX + "open"):
            [state] = self._states([job_id.decode(errors="replace")])
            if state in (b"queued", b"running"):
                self._redis.zadd(PREFIX + "outbox", {job_id: 0}, lt=True)
