"""The one way in, however it was asked: rules → reserve the id → card → queue, or wait for approval."""

import logging
import time
from dataclasses import dataclass

from bot import policy
from bot.blocks import Message, digest
from bot.cards.card import render
from bot.chat import Chat, ChatError, ChatRefused, Member, RateLimited
from bot.directory import Directory
from bot.policy import Refused
from bot.store import Store
from bot.views import replies
from workers.contract import events as e
from workers.contract.jobs import Asked, Job
from workers.contract.queue import Queue
from workers.contract.record import Record, fold
from workers.contract.settings import Approvals, SettingsFile

logger = logging.getLogger(__name__)

LEFT_BEHIND_S = 30.0
"""A reservation this old has been left behind by its bot. Until then that bot is alone with it, without a lock: longer
than a call to Slack lasts, connecting included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """Where a request comes from, and when. `key` is the same when the same request arrives twice.

    `unattended`: nobody waits for an answer, so that there is one only where there will be no job.
    """

    by: Member
    channel: str
    key: str
    at_s: float
    scheduled_by: str | None = None
    unattended: bool = False


class Intake:
    """Raises Refused with a sentence for the person who asked, and QueueUnavailable while Redis is away."""

    def __init__(
        self,
        *,
        queue: Queue,
        store: Store,
        chat: Chat,
        directory: Directory,
        settings: SettingsFile,
    ) -> None:
        self._queue = queue
        self._store = store
        self._chat = chat
        self._directory = directory
        self._settings = settings
        self._without_card: set[str] = set()
        """Jobs that this bot reserved, and whose card Slack did not take."""
        self._not_before_s = 0.0

    def ask(self, job: Job, origin: Invocation, *, dry_run: bool = False) -> Message | None:
        """Take a job in. The answer for the person alone, or None where the card says it all."""
        approvals = self.approvals_for(job, origin.by)
        if dry_run:
            return replies.dry_run(job, approvals)
        asked = Asked(
            by=origin.by.id,
            by_name=origin.by.name,
            where=origin.channel,
            at_s=origin.at_s,
            scheduled_by=origin.scheduled_by,
        )
        job_id, new = self._queue.reserve(key=origin.key, job=job, asked=asked)
        if not new:
            return None if origin.unattended else replies.already(job_id)
        trouble = self._post_and_submit(Record(id=job_id, job=job, asked=asked), posted=False)
        return None if origin.unattended and job_id in self._without_card else trouble

    def approvals_for(self, job: Job, by: Member) -> Approvals | None:
        """Whose approval a job would wait for. Raises Refused where a rule forbids it."""
        policy.check(policy.PolicyQuery(by=by, job=job, settings=self._settings))
        return job.approvals_needed(self._settings)

    def resume_reserved(self) -> None:
        """Take every job further that was reserved and then left behind: its bot died, or Slack was away."""
        left = self._queue.reserved()
        self._without_card.intersection_update(record.id for record in left)
        for record in left:
            if time.time() < self._not_before_s:
                return
            if record.id not in self._without_card and time.time() - record.asked.at_s < LEFT_BEHIND_S:
                continue
            if policy.unknown_place(record.job, self._settings):
                self._queue.discard(record.id)
                continue
            with self._store.locked(f"card:{record.id}") as ours:
                if ours:
                    self._post_and_submit(record, posted=self._store.card(record.id) is not None)

    def decide(self, record: Record, by: Member, *, approve: bool) -> Message | None:
        """Count an approval, or deny."""
        if record.state == "reserved":
            raise Refused(f"Job #{record.id} is not ready to be decided about; try again in half a minute.")
        policy.check_approver(record, by, self._directory)
        if record.approval is None or record.state != "awaiting_approval":
            return replies.decided_before(record)
        if not approve:
            return None if self._queue.deny(record.id, by=by.id) else replies.decided_before(record)
        decision = self._queue.approve(record.id, by=by.id, count=record.approval.count)
        if decision == "repeated":
            raise Refused("You have approved this already; somebody else must, too.")
        return replies.decided_before(record) if decision == "closed" else None

    def cancel(self, record: Record, by: Member) -> Message | None:
        """Cancel, or ask a running job to stop."""
        if why := policy.outsider(by):
            raise Refused(why)
        match self._queue.cancel(record.id, by=by.id):
            case "closed":
                return replies.ended_before(record)
            case "repeated":
                return replies.stopping(record)
            case _:
                return None

    def retry(self, record: Record, origin: Invocation) -> Message | None:
        """The same job once more."""
        return self.ask(record.job, origin)

    def _post_and_submit(self, record: Record, *, posted: bool) -> Message | None:
        """A reserved job's way to the queue, or to its approvers; `posted`: it has its card."""
        now = time.time()
        approvals = record.job.approvals_needed(self._settings)
        request = approvals and e.ApprovalRequested(
            at_s=now,
            count=approvals.count,
            approvers=approvals.from_,
            own=approvals.own,
            expires_at_s=now + approvals.expires_s,
        )
        if not posted:
            # The first picture already is of the state that follows, which saves an edit and a flicker.
            trouble = self._post_card(fold(record, [request or e.Queued(at_s=now)]))
            if trouble is not None:
                return trouble
        if request:
            self._queue.await_approval(record.id, request)
        else:
            self._queue.submit(record.id)
        return None

    def _post_card(self, record: Record) -> Message | None:
        """Post the card. Where that cannot be, forget the job and say why; where Slack is slow, leave it reserved."""
        message = render(record)
        try:
            channel, ts = self._chat.post(record.asked.where, message)
        except ChatRefused as error:
            self._queue.discard(record.id)
            return replies.no_card(record.asked.where, error.error)
        except ChatError as error:
            logger.warning("the card of job %s waits: %s", record.id, error)
            if isinstance(error, RateLimited):
                self._not_before_s = time.time() + error.retry_after_s
            self._without_card.add(record.id)
            return replies.card_follows(record)
        self._store.save_card(record.id, channel=channel, ts=ts, shown=digest(message))
        return None
