"""People's decisions about jobs: approve, deny and cancel, by button or by command."""

from bot import policy
from bot.blocks import Message
from bot.directory import Directory
from bot.policy import Refused
from bot.state import Member
from bot.views import replies
from workers.contract.queue import Queue
from workers.contract.record import Record


class Decisions:
    """Applies decisions that the rules allow. Returns an answer for the person alone if the decision comes too late.

    Raises Refused with a sentence for the person, ChatError, and QueueUnavailable while Redis is away.
    """

    def __init__(self, *, queue: Queue, directory: Directory) -> None:
        self._queue = queue
        self._directory = directory

    def decide(self, record: Record, by: Member, *, approve: bool) -> Message | None:
        """Count an approval, or deny the job."""
        if record.state == "reserved":
            raise Refused(f"Job #{record.id} is not ready for a decision. Try again in half a minute.")
        approval = record.approval
        is_approver = approval is not None and self._directory.is_among(by.id, approval.approvers)
        policy.check_approver(policy.ApprovalQuery(by=by, record=record, is_approver=is_approver))
        if approval is None or record.state != "awaiting_approval":
            return replies.not_awaiting_approval(record)
        if not approve:
            return None if self._queue.deny(record.id, by=by.id) else replies.not_awaiting_approval(record)
        decision = self._queue.approve(record.id, by=by.id, count=approval.count)
        if decision == "repeated":
            raise Refused("You have already approved this. Another approver must do so, too.")
        return replies.not_awaiting_approval(record) if decision == "closed" else None

    def cancel(self, record: Record, by: Member) -> Message | None:
        """Cancel a job, or request a running job to stop."""
        if why := policy.outsider(by):
            raise Refused(why)
        match self._queue.cancel(record.id, by=by.id):
            case "closed":
                return replies.plain(f"Job #{record.id} has already ended.")
            case "repeated":
                return replies.plain(f"Job #{record.id} is already stopping.")
            case _:
                return None
