"""The asking side of the queue: reserve, submit, decide, cancel, look. What the bot does."""

import time
from collections.abc import Sequence
from typing import Literal, cast

from workers.contract import events as e
from workers.contract import wire
from workers.contract.jobs import Asked, Job
from workers.contract.queue import scripts
from workers.contract.queue.connection import PREFIX, RETENTION_S, QueueClient
from workers.contract.record import FINAL, Record

Decision = Literal["approved", "counted", "repeated", "closed"]
"""What became of an approval: it completed the policy; more are needed; this person already gave one; too late."""


class Queue(QueueClient):
    """Jobs as those see them who ask for them. Every call is one step in Redis, and safe to repeat.

    Raises QueueUnavailable while Redis is away.
    """

    def reserve(self, *, key: str, job: Job, asked: Asked) -> tuple[str, bool]:
        """The id of the job for the request `key`, and whether it is new: a request asked twice is one job."""
        job_id, new = self._run(
            scripts.RESERVE, key, wire.JOB.encode(job), wire.ASKED.encode(asked), job.resource, asked.at_s, RETENTION_S
        )
        return job_id.decode(), bool(new)

    def discard(self, job_id: str) -> bool:
        """Forget a job that is only reserved, and its request; whether it was."""
        return bool(self._run(scripts.DISCARD, job_id))

    def submit(self, job_id: str) -> bool:
        """Put a reserved job, which is shown as queued already, in its target's line; whether it was reserved."""
        return bool(self._run(scripts.SUBMIT, job_id, time.time()))

    def await_approval(self, job_id: str, request: e.ApprovalRequested) -> bool:
        """Hold a reserved job until `request` is granted; whether it was reserved."""
        event = wire.EVENT.encode(request)
        return bool(self._run(scripts.AWAIT_APPROVAL, job_id, request.at_s, request.expires_at_s, event))

    def approve(self, job_id: str, *, by: str, count: int) -> Decision:
        """Count `by`'s approval; with `count` of them the job enters its target's line, exactly once."""
        now = time.time()
        event = wire.EVENT.encode(e.Approved(at_s=now, by=by))
        return cast(Decision, self._run(scripts.APPROVE, job_id, now, by, count, event).decode())

    def deny(self, job_id: str, *, by: str) -> bool:
        """End a job that waits for approval; whether it did."""
        now = time.time()
        event = wire.EVENT.encode(e.Denied(at_s=now, by=by))
        return bool(self._run(scripts.CLOSE, job_id, now, "awaiting_approval", "denied", event, RETENTION_S))

    def expire_due(self) -> int:
        """End every job whose request for approval has run out; how many."""
        now = time.time()
        due = self._redis.zrangebyscore(PREFIX + "expiring", "-inf", now)
        event = wire.EVENT.encode(e.Expired(at_s=now))
        return sum(
            self._run(scripts.CLOSE, job_id, now, "awaiting_approval", "expired", event, RETENTION_S) for job_id in due
        )

    def cancel(self, job_id: str, *, by: str) -> Literal["cancelled", "requested", "repeated", "closed"]:
        """End a job that has not begun; tell a running one to stop ("repeated": it was told before)."""
        now = time.time()
        cancelled = wire.EVENT.encode(e.Cancelled(at_s=now, by=by))
        requested = wire.EVENT.encode(e.CancelRequested(at_s=now, by=by))
        answer = self._run(scripts.CANCEL, job_id, now, by, cancelled, requested, RETENTION_S)
        return cast(Literal["cancelled", "requested", "repeated", "closed"], answer.decode())

    def dirty(self) -> list[str]:
        """The jobs that changed since they were last shown, longest first."""
        return [job_id.decode() for job_id in self._redis.zrange(PREFIX + "changed", 0, -1)]

    def states(self, ids: Sequence[str]) -> dict[str, bool]:
        """By job: whether it has ended. A job that has been forgotten counts as ended."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(f"{PREFIX}job:{job_id}", "state")
            found = pipe.execute()
        return {job_id: state is None or state.decode() in FINAL for job_id, state in zip(ids, found, strict=True)}

    def drop_dirty(self, job_id: str) -> None:
        """Take a job from the changed ones whose card cannot be shown."""
        self._redis.zrem(PREFIX + "changed", job_id)

    def reserved(self) -> list[Record]:
        """The jobs that were reserved and got no further: their bot may have died on the way."""
        ids = sorted(job_id.decode() for job_id in self._redis.smembers(PREFIX + "open"))
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(f"{PREFIX}job:{job_id}", "state")
            states = pipe.execute()
        return self._read([job_id for job_id, state in zip(ids, states, strict=True) if state == b"reserved"])

    def mark_rendered(self, job_id: str, seq: int) -> bool:
        """Tell that the record as of `seq` was shown; False where it has changed since and stays `changed`."""
        return bool(self._run(scripts.MARK_RENDERED, job_id, seq))

    def file(self, file: str) -> bytes | None:
        """The bytes of an attached file, or None where they have been forgotten."""
        return cast(bytes | None, self._redis.get(PREFIX + "file:" + file))

    def workers(self) -> list[str]:
        """The workers that are alive."""
        return [name.decode() for name in self._redis.zrangebyscore(PREFIX + "workers", time.time(), "+inf")]
