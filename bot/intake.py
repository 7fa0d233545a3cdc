"""The only way to submit a job: check the rules, reserve an id, post the card, then queue the job or await approval.

Commands, buttons and schedules all submit through `Intake`.
"""

import logging
import time

from bot import policy
from bot.blocks import Message
from bot.card_poster import CardPoster
from bot.chat import Chat, ChatError, ChatRefused, RateLimited
from bot.directory import Directory
from bot.policy import Refused
from bot.state import Invocation, Member
from bot.store import Store
from bot.views import replies
from workers.contract import events as e
from workers.contract.jobs import Asked, Job
from workers.contract.queue import Queue
from workers.contract.record import Record, fold
from workers.contract.settings import SettingsFile

logger = logging.getLogger(__name__)

ABANDONED_S = 30.0
"""Age at which another bot may take over a reservation. Until then its own bot works on it without a lock, so it must
be longer than a call to Slack, connecting included."""


class Intake:
    """Submits, approves and cancels jobs.

    Raises Refused with a sentence for the person, and QueueUnavailable while Redis is away.
    """

    def __init__(self, *, queue: Queue, store: Store, chat: Chat, directory: Directory, settings: SettingsFile) -> None:
        self._queue = queue
        self._store = store
        self._cards = CardPoster(store=store, chat=chat)
        self._directory = directory
        self._settings = settings
        self._without_card: set[str] = set()
        """Jobs that this bot reserved without being able to post their cards."""
        self._not_before_s = 0.0

    def submit(self, job: Job, origin: Invocation, *, dry_run: bool = False) -> Message | None:
        """Submit a job. Return an answer for the person alone, or None if the card is the answer."""
        self.check(job, origin.by)
        if dry_run:
            return replies.dry_run(job, job.approvals_needed(self._settings))
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

    def check(self, job: Job, by: Member) -> None:
        """Raise Refused if a rule forbids the job."""
        policy.check(policy.PolicyQuery(by=by, job=job, settings=self._settings))

    def resume_reserved(self) -> None:
        """Continue with jobs that are reserved only, because their bot died or Slack was away."""
        reserved = self._queue.reserved()
        self._without_card.intersection_update(record.id for record in reserved)
        for record in reserved:
            if time.time() < self._not_before_s:
                return
            if record.id not in self._without_card and time.time() - record.asked.at_s < ABANDONED_S:
                continue
            if policy.missing_setting(record.job, self._settings):
                self._queue.discard(record.id)
                continue
            with self._store.locked(f"card:{record.id}") as acquired:
                if acquired:
                    self._post_and_submit(record, posted=self._store.card(record.id) is not None)

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
                return replies.already_ended(record)
            case "repeated":
                return replies.already_stopping(record)
            case _:
                return None

    def _post_and_submit(self, record: Record, *, posted: bool) -> Message | None:
        """Post the card of a reserved job unless it is `posted`, then submit the job or request approval."""
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
            # Post the card in its next state at once, to save an edit.
            trouble = self._post_card(fold(record, [request or e.Queued(at_s=now)]))
            if trouble is not None:
                return trouble
        if request:
            self._queue.await_approval(record.id, request)
        else:
            self._queue.submit(record.id)
        return None

    def _post_card(self, record: Record) -> Message | None:
        """Post the card. If Slack refuses it, discard the job. If Slack is slow, leave the job reserved."""
        try:
            self._cards.post(record)
        except ChatRefused as error:
            self._queue.discard(record.id)
            return replies.no_card(record.asked.where, error.error)
        except ChatError as error:
            logger.warning("the card of job %s is delayed: %s", record.id, error)
            if isinstance(error, RateLimited):
                self._not_before_s = time.time() + error.retry_after_s
            self._without_card.add(record.id)
            return replies.card_follows(record)
        return None
