"""The bot's client of the queue: reserve, submit, approve, cancel and list jobs."""

from collections.abc import Sequence
from typing import Literal, cast

from workers.contract import events as e, wire
from workers.contract.jobs import Asked, Job
from workers.contract.queue import scripts
from workers.contract.queue.connection import PREFIX, RETENTION_S, QueueClient
from workers.contract.record import FINAL, Record

Decision = Literal["approved", "counted", "repeated", "closed"]
"""Result of an approval: the last one, more are needed, a second one of the same person, or too late."""


class PreviousOpen(Exception):
    """The schedule's previous job, `job_id`, runs or waits. No job was reserved."""

    def __init__(self, job_id: str, *, runs: bool) -> None:
        super().__init__(f"job {job_id} has not ended")
        self.job_id, self.runs = job_id, runs


class Queue(QueueClient):
    """Client of the queue for the bot. Each call is atomic and can be repeated.

    Raises QueueUnavailable while Redis is unavailable.
    """

    def reserve(self, *, key: str, job: Job, asked: Asked) -> tuple[str, float | None]:
        """Return the id of the job for request `key`, and the request's time, which is None if the job is not new.

        Repeated requests are one job. Raises PreviousOpen if the schedule that asks has a job that has not ended.
        """
        without_time = wire.ASKED.encode_without_time(asked)
        place = (job.resource, _priority(job, asked), asked.scheduled_by or "")
        answer = self._run(scripts.RESERVE, key, wire.JOB.encode(job), without_time, *place, RETENTION_S)
        status, job_id, *more = (part.decode() for part in answer)
        if status == "previous":
            raise PreviousOpen(job_id, runs=more == ["running"])
        return job_id, float(more[0]) if status == "new" else None

    def discard(self, job_id: str) -> bool:
        """Delete a job and its request. Return False if the job is not just reserved."""
        return bool(self._run(scripts.DISCARD, job_id))

    def submit(self, job_id: str) -> bool:
        """Put a reserved job in line, after its card shows it as queued. Return False if it is not just reserved."""
        return bool(self._run(scripts.SUBMIT, job_id))

    def await_approval(self, job_id: str, request: e.ApprovalRequested) -> bool:
        """Hold a reserved job until it is approved. Return False if the job is not just reserved."""
        event = wire.EVENT.encode_without_time(request)
        return bool(self._run(scripts.AWAIT_APPROVAL, job_id, request.expires_at_s, event))

    def ask_again(self, job_id: str, request: e.ApprovalRequested) -> bool:
        """Void the approvals of a job and request new ones. Return False if it does not wait for approval."""
        event = wire.EVENT.encode_without_time(request)
        return bool(self._run(scripts.ASK_AGAIN, job_id, request.expires_at_s, event))

    def awaiting_approval(self) -> list[Record]:
        """Return the jobs that wait for approval."""
        ids = [job_id.decode(errors="replace") for job_id in self._redis.zrange(PREFIX + "expiring", 0, -1)]
        return [record for record in self._read(ids) if record.state == "awaiting_approval"]

    def approve(self, job_id: str, *, by: str, count: int) -> Decision:
        """Count an approval. The job enters the line of its resource once, after `count` approvals."""
        event = wire.EVENT.encode_without_time(e.Approved(by=by))
        return cast(Decision, self._run(scripts.APPROVE, job_id, by, count, event).decode())

    def deny(self, job_id: str, *, by: str) -> bool:
        """End a job that waits for approval. Return False if it does not."""
        denied = e.Denied(by=by)
        data = wire.EVENT.encode_without_time(denied)
        return bool(self._run(scripts.CLOSE, job_id, denied.kind, data, RETENTION_S))

    def expire_due(self) -> int:
        """End the jobs with expired requests for approval, and return their number."""
        return int(self._run(scripts.EXPIRE_DUE, RETENTION_S))

    def cancel(self, job_id: str, *, by: str) -> Literal["cancelled", "requested", "repeated", "closed"]:
        """End a job that has not started, or ask a running one to stop."""
        cancelled = wire.EVENT.encode_without_time(e.Cancelled(by=by))
        requested = wire.EVENT.encode_without_time(e.CancelRequested(by=by))
        answer = self._run(scripts.CANCEL, job_id, by, cancelled, requested, RETENTION_S)
        return cast(Literal["cancelled", "requested", "repeated", "closed"], answer.decode())

    def dirty(self) -> list[str]:
        """Return the jobs that changed since their card was rendered, oldest change first."""
        return [job_id.decode(errors="replace") for job_id in self._redis.zrange(PREFIX + "changed", 0, -1)]

    def are_final(self, ids: Sequence[str]) -> dict[str, bool]:
        """Return, by job, True if it has ended. An expired job counts as ended."""
        states = self._states(ids)
        return {
            job_id: state is None or state.decode(errors="replace") in FINAL
            for job_id, state in zip(ids, states, strict=True)
        }

    def drop_dirty(self, job_id: str) -> None:
        """Forget the change of a job, because its card cannot be rendered."""
        self._redis.zrem(PREFIX + "changed", job_id)

    def mark_dirty(self, job_id: str) -> None:
        """Have the card of a job rendered again."""
        self._redis.zadd(PREFIX + "changed", {job_id: self.now_s()}, nx=True)

    def mark_open_dirty(self) -> None:
        """Have the cards of all jobs that have not ended rendered again."""
        if ids := self._redis.smembers(PREFIX + "open"):
            self._redis.zadd(PREFIX + "changed", dict.fromkeys(ids, self.now_s()), nx=True)

    def reserved(self) -> list[Record]:
        """Return the jobs that were reserved and not submitted. Their bot may have died."""
        ids = sorted(job_id.decode(errors="replace") for job_id in self._redis.smembers(PREFIX + "open"))
        states = zip(ids, self._states(ids), strict=True)
        return self._read([job_id for job_id, state in states if state == b"reserved"])

    def mark_rendered(self, job_id: str, seq: int) -> bool:
        """Forget the change of a job with a card at `seq`. Return False if the job has changed again."""
        return bool(self._run(scripts.MARK_RENDERED, job_id, seq))

    def file(self, file: str) -> bytes | None:
        """Return the bytes of an attached file, or None if they have expired."""
        return cast(bytes | None, self._redis.get(PREFIX + "file:" + file))

    def workers(self) -> list[str]:
        """Return the names of the live workers."""
        return [name.decode() for name in self._run(scripts.WORKERS)]


def _priority(job: Job, asked: Asked) -> str:
    """Return the job's place in line: a change that a person requested goes before the waiting jobs that send load."""
    if job.load is not None:
        return "low"
    return "high" if asked.scheduled_by is None else "normal"
