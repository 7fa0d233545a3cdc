"""The way of a job to the queue: reserve an id, post the card, then submit the job or request approval.

Intake starts it after its checks. The bot's timer resumes it for reserved jobs, also those of other bots.
"""

import logging
import time

from bot.card_poster import CardPoster
from bot.chat import Chat, ChatError, ChatRefused, RateLimited
from bot.store import Store
from workers.contract import events as e
from workers.contract.jobs import Asked, Job
from workers.contract.queue import Queue
from workers.contract.record import Record, fold
from workers.contract.settings import SettingsFile

logger = logging.getLogger(__name__)

ABANDONED_S = 30.0
"""Age at which another bot may take over a reservation. Until then its own bot works on it without a lock, so it must
be longer than a call to Slack, connecting included."""


class CardDelayed(Exception):
    """Slack is too slow to post the card of the job `job_id`. The job stays reserved until `resume` posts it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the card of job {job_id} is delayed")
        self.job_id = job_id


class Submission:
    """Submits jobs. Raises QueueUnavailable while Redis is away."""

    def __init__(self, *, queue: Queue, store: Store, chat: Chat, settings: SettingsFile) -> None:
        self._queue = queue
        self._store = store
        self._cards = CardPoster(store=store, chat=chat)
        self._settings = settings
        self._without_card: set[str] = set()
        """Jobs that this bot reserved without being able to post their cards."""
        self._not_before_s = 0.0

    def start(self, *, key: str, job: Job, asked: Asked) -> str | None:
        """Submit a job, once for each request `key`. Return the id of the job that the key already has, if any.

        Raises CardDelayed, and ChatRefused if Slack refuses the card, after which the job is discarded.
        """
        job_id, new = self._queue.reserve(key=key, job=job, asked=asked)
        if not new:
            return job_id
        self._post_and_submit(Record(id=job_id, job=job, asked=asked), posted=False)
        return None

    def resume(self) -> None:
        """Continue with jobs that are reserved only, because their bot died or Slack was away."""
        reserved = self._queue.reserved()
        self._without_card.intersection_update(record.id for record in reserved)
        for record in reserved:
            if time.time() < self._not_before_s:
                return
            if record.id not in self._without_card and time.time() - record.asked.at_s < ABANDONED_S:
                continue
            if record.job.missing_setting(self._settings):
                self._queue.discard(record.id)
                continue
            with self._store.locked(f"card:{record.id}") as acquired:
                if acquired:
                    self._resume(record)

    def _resume(self, record: Record) -> None:
        try:
            self._post_and_submit(record, posted=self._store.card(record.id) is not None)
        except CardDelayed:
            return  # a later round tries again
        except ChatRefused as error:
            logger.warning("job %s is discarded: %s", record.id, error)

    def _post_and_submit(self, record: Record, *, posted: bool) -> None:
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
            self._post_card(fold(record, [request or e.Queued(at_s=now)]))
        if request:
            self._queue.await_approval(record.id, request)
        else:
            self._queue.submit(record.id)

    def _post_card(self, record: Record) -> None:
        try:
            self._cards.post(record)
        except ChatRefused:
            self._queue.discard(record.id)
            raise
        except ChatError as error:
            logger.warning("the card of job %s is delayed: %s", record.id, error)
            if isinstance(error, RateLimited):
                self._not_before_s = time.time() + error.retry_after_s
            self._without_card.add(record.id)
            raise CardDelayed(record.id) from error
