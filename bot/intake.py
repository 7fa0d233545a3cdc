"""The only way to submit a job: check the rules, reserve an id, post the card, then queue the job or request approval.

Commands, buttons and schedules submit here, and people's decisions about jobs are applied here. The bot's timer resumes
reserved jobs, also those of other bots.
"""

import logging
import time
from dataclasses import dataclass, field, replace

from bot import policy
from bot.announcer import Announcer
from bot.blocks import Message
from bot.card_poster import CardPoster
from bot.chat import ChatError, ChatRefused, RateLimited
from bot.directory import Directory
from bot.policy import Refused
from bot.state import Invocation, Member, Schedule
from bot.store import Store
from bot.views import replies
from workers.contract import events as e
from workers.contract.jobs import Asked, Job
from workers.contract.queue import Queue
from workers.contract.record import Record, fold
from workers.contract.settings import SettingsFile

logger = logging.getLogger(__name__)

LATE_S = 3.0
"""Delay of a card that needs no words."""
ABANDONED_S = 30.0
"""Age at which another bot may take over a reservation. Until then its own bot works on it without a lock, so it must
be longer than a call to Slack, connecting included."""


@dataclass(kw_only=True)
class Intake:
    """Checks and submits jobs. Its answers are for the person alone, and None if the job's card is the answer.

    Raises Refused with a sentence for the person, and QueueUnavailable while Redis is away.
    """

    queue: Queue
    store: Store
    cards: CardPoster
    directory: Directory
    announcer: Announcer
    settings: SettingsFile
    _without_card: set[str] = field(default_factory=set, init=False)
    """Jobs that this bot reserved without being able to post their cards."""
    _not_before_s: float = field(default=0.0, init=False)

    def check(self, job: Job, by: Member) -> None:
        """Raise Refused if a rule forbids the job."""
        policy.check(job, by=by, settings=self.settings)

    def submit(self, job: Job, origin: Invocation, *, dry_run: bool = False) -> Message | None:
        """Submit a job, once for each key of an invocation."""
        self.check(job, origin.by)
        if dry_run:
            return replies.dry_run(job, job.approvals_needed(self.settings))
        asked = Asked(by=origin.by.id, by_name=origin.by.name, where=origin.channel, scheduled_by=origin.scheduled_by)
        job_id, reserved_at_s = self.queue.reserve(key=origin.key, job=job, asked=asked)
        try:
            if reserved_at_s is not None:
                asked = replace(asked, at_s=reserved_at_s)
                if self._post_and_submit(Record(id=job_id, job=job, asked=asked), posted=False):
                    return None
        except ChatRefused as error:
            return replies.no_card(origin.channel, error.error)
        if origin.unattended:
            return None
        if reserved_at_s is not None:
            return None if self._is_posted_soon(job_id) else replies.late_card(job_id)
        return replies.plain(f"This is job #{job_id} already. No new job was started.")

    def _is_posted_soon(self, job_id: str) -> bool:
        """Wait for a card that Slack's limit of one message a second delays. Return False if it is really late."""
        until_s = time.monotonic() + LATE_S
        while time.monotonic() < until_s:
            if self.store.card(job_id) is not None:
                return True
            time.sleep(0.1)
        return False

    def resume(self) -> None:
        """Continue with jobs that are reserved only, because their bot died or Slack was away."""
        reserved, now_s = self.queue.reserved(), self.queue.now_s()
        self._without_card.intersection_update(record.id for record in reserved)
        for record in reserved:
            if time.monotonic() < self._not_before_s:
                return
            if record.unreadable:
                continue  # a bot of the release that reserved it goes on
            if record.id not in self._without_card and now_s - record.asked.at_s < ABANDONED_S:
                continue
            if missing := record.job.missing_setting(self.settings):
                self.queue.discard(record.id)
                self.announcer.report_discarded(record, f"the settings no longer have {missing}")
                continue
            with self.store.locked(f"card:{record.id}") as acquired:
                if acquired:
                    self._resume(record)

    def _resume(self, record: Record) -> None:
        try:
            self._post_and_submit(record, posted=self.store.card(record.id) is not None, again=True)
        except ChatRefused as error:
            logger.warning("job %s is discarded: %s", record.id, error)
            self.announcer.report_discarded(record, error.error)

    def _post_and_submit(self, record: Record, *, posted: bool, again: bool = False) -> bool:
        """Post the card of a reserved job unless it is `posted`, then submit the job or request approval.

        `again`: the card may have been posted before. Return False if Slack is too slow: the job stays reserved until
        `resume` posts the card. Raises ChatRefused if Slack refuses the card, after which the job is discarded.
        """
        approvals = record.job.approvals_needed(self.settings)
        request = approvals and e.ApprovalRequested(
            count=approvals.count,
            approvers=approvals.from_,
            own=approvals.own,
            expires_at_s=self.queue.now_s() + approvals.expires_s,
        )
        # Post the card in its next state at once, to save an edit.
        if not posted and not self._post_card(fold(record, [request or e.Queued()]), again=again):
            return False
        if request:
            self.queue.await_approval(record.id, request)
        else:
            self.queue.submit(record.id)
        return True

    def _post_card(self, record: Record, *, again: bool) -> bool:
        try:
            self.cards.post(record, again=again)
        except ChatRefused:
            self.queue.discard(record.id)
            raise
        except ChatError as error:
            logger.warning("the card of job %s is delayed: %s", record.id, error)
            if isinstance(error, RateLimited):
                self._not_before_s = time.monotonic() + error.retry_after_s
            self._without_card.add(record.id)
            return False
        return True

    def decide(self, record: Record, by: Member, *, approve: bool) -> Message | None:
        """Count an approval, or deny the job. Raises ChatError if the approvers cannot be looked up."""
        if record.unreadable:
            return replies.unreadable(record)
        by = self._looked_up(by)
        if record.state == "reserved":
            raise Refused(f"Job #{record.id} is not ready for a decision. Try again in half a minute.")
        approval = record.approval
        if approval is not None and record.state == "awaiting_approval" and self._ask_again(record, approval):
            return replies.asked_again(record)
        is_approver = approval is not None and self.directory.is_among(by.id, approval.approvers)
        policy.check_approver(record, by=by, is_approver=is_approver)
        decision: str = "closed"
        if approval is not None and record.state == "awaiting_approval":
            if approve:
                decision = self.queue.approve(record.id, by=by.id, count=approval.count)
            elif self.queue.deny(record.id, by=by.id):
                decision = "denied"
        if decision == "repeated":
            raise Refused("You have already approved this. Another approver must do so, too.")
        return replies.plain(f"Job #{record.id} no longer waits for approval.") if decision == "closed" else None

    def cancel(self, record: Record, by: Member) -> Message | None:
        """Cancel a job, or request a running job to stop."""
        by = self._looked_up(by)
        policy.check_member(by)
        if record.unreadable:
            return replies.unreadable(record)
        is_approver = self._is_approver(by, record.job)
        policy.check_cancel(record, by=by, is_approver=is_approver, settings=self.settings)
        match self.queue.cancel(record.id, by=by.id):
            case "closed":
                return replies.plain(f"Job #{record.id} has already ended.")
            case "repeated":
                return replies.plain(f"Job #{record.id} is already stopping.")
            case _:
                return None

    def check_schedule(self, schedule: Schedule, by: Member, job: Job | None) -> None:
        """Raise Refused unless `by` may change the schedule. `job` is its job, None if the command is out of date."""
        by = self._looked_up(by)
        is_approver = job is not None and self._is_approver(by, job)
        policy.check_schedule(schedule, by=by, is_approver=is_approver, settings=self.settings)

    def _looked_up(self, by: Member) -> Member:
        """Return the member as Slack has it now. Rights over others' jobs count as they are at the decision."""
        return self.directory.member(by.id, fresh=True)

    def _is_approver(self, by: Member, job: Job) -> bool:
        """Return whether `by` is among the approvers of the job's environment or target. False if it has none."""
        place = self.settings.places.get(job.environment or "")
        if place is None or place.approvals is None:
            return False
        return self.directory.is_among(by.id, place.approvals.from_)

    def ask_again(self) -> None:
        """Ask again for approvals that were requested under other rules than today's."""
        for record in self.queue.awaiting_approval():
            if record.approval is not None:
                self._ask_again(record, record.approval)

    def _ask_again(self, record: Record, approval: e.ApprovalRequested) -> bool:
        """Ask again if the rule has changed since the request. Approvals under the old rule do not count."""
        rule = None if record.job.missing_setting(self.settings) else record.job.approvals_needed(self.settings)
        if rule is None or (rule.count, rule.from_, rule.own) == (approval.count, approval.approvers, approval.own):
            return False
        request = e.ApprovalRequested(
            count=rule.count,
            approvers=rule.from_,
            own=rule.own,
            expires_at_s=self.queue.now_s() + rule.expires_s,
            again=True,
        )
        logger.info("job %s: the rule for approvals has changed, and they are requested again", record.id)
        return self.queue.ask_again(record.id, request)
