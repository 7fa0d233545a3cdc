"""Renders changed jobs as cards, posts their details in the cards' threads, and compares the results of schedules.

The relay is level-triggered: a job stays marked as changed until its newest state has been rendered. A restart of the
bot, an outage of Slack or a used-up budget therefore only delays a card.
"""

import logging
import threading
import time
from dataclasses import dataclass, field

from bot.announcer import Announcer
from bot.card_poster import CardPoster
from bot.cards.card import result
from bot.chat import Chat, ChatError, ChatRefused, MessageGone, PlaceRefused, RateLimited
from bot.state import PostedCard, Result
from bot.store import Store
from bot.views import schedules
from workers.contract.queue import Queue, QueueUnavailable
from workers.contract.record import Record

logger = logging.getLogger(__name__)

TICK_S = 0.2
UNAVAILABLE_S = 2.0
"""Pause after a fault of Slack."""
UNREADABLE_S = 30.0
"""Time for a bot of another release to render a job that this release cannot read, and pause after a fault with one."""
RETRIED_FOR_S, LONGEST_PAUSE_S = 3600.0, 60.0
"""A card that Slack refuses is tried again for an hour, at least once a minute: a channel may be opened again."""
ALONE_AFTER_S = 15.0
"""Time without a live worker after which cards say so. A restart of the workers is shorter."""
POST_EVERY_S = 10.0
"""Shortest time between posts in a running job's thread. The rest follows when the job ends."""


def edit_every_s(age_s: float) -> float:
    """Return the time between edits of a running job's card: short at first, longer for long jobs.

    At 3 s, two jobs use 40 of the 45 edits a minute.
    """
    return 3.0 if age_s < 120 else 6.0 if age_s < 900 else 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Refusal:
    """The refusals of a job's card by Slack: the first and the newest one, and when to try again. Monotonic times."""

    first_s: float
    error: str
    count: int
    again_s: float


@dataclass(kw_only=True)
class Relay:
    """Renders changed jobs. Each bot runs one relay."""

    queue: Queue
    store: Store
    chat: Chat
    cards: CardPoster
    announcer: Announcer
    refused: dict[str, _Refusal] = field(default_factory=dict, init=False)
    """The jobs whose cards Slack refuses now."""
    _worker_seen_s: float = field(default_factory=lambda: time.monotonic(), init=False)
    _alone: bool = field(default=False, init=False)
    _not_before_s: float = field(default=0.0, init=False)
    _due_s: dict[str, float] = field(default_factory=dict, init=False)
    _unreadable_since_s: dict[str, float] = field(default_factory=dict, init=False)

    def run(self, stop: threading.Event) -> None:
        """Render until `stop`, also across outages of Redis."""
        while not stop.wait(TICK_S):
            try:
                self.tick()
            except QueueUnavailable as error:
                logger.warning("Redis is away: %s", error)
                stop.wait(1.0)
            except Exception:  # the outermost loop of this thread: one card must not stop all others
                logger.exception("a round of the relay failed")
                stop.wait(1.0)

    def tick(self) -> None:
        """Expire requests for approval, and render each changed job that is due. Ended jobs go first."""
        self.queue.expire_due()
        now = time.monotonic()
        self._look_for_workers(now)
        if now < self._not_before_s:
            return
        finals = self.queue.are_final(self.queue.dirty())
        self._due_s = {job_id: due_s for job_id, due_s in self._due_s.items() if due_s > now}
        for final in (True, False):
            for job_id, ended in finals.items():
                waits = job_id in self.refused and now < self.refused[job_id].again_s
                paced = not final or job_id in self._unreadable_since_s
                if ended is final and not waits and not (paced and now < self._due_s.get(job_id, 0.0)):
                    self._try_to_render(job_id)
                    if time.monotonic() < self._not_before_s:
                        return

    def _try_to_render(self, job_id: str) -> None:
        """Render one job. If Slack is slow or away, pause all jobs."""
        try:
            with self.store.locked(f"card:{job_id}") as acquired:
                if acquired:
                    self._render(job_id)
                    self.refused.pop(job_id, None)
        except RateLimited as error:
            self._not_before_s = time.monotonic() + error.retry_after_s
        except ChatRefused as error:
            self._retry_later(job_id, error)
        except ChatError as error:
            logger.warning("%s; retrying in %g s", error, UNAVAILABLE_S)
            self._not_before_s = time.monotonic() + UNAVAILABLE_S
        except QueueUnavailable:
            raise
        except Exception:  # the card of one job must not stop the others
            logger.exception("the card of job %s failed", job_id)
            self._due_s[job_id] = time.monotonic() + UNREADABLE_S

    def _retry_later(self, job_id: str, error: ChatRefused) -> None:
        """Replace a deleted card, or try again with growing pauses. Send the asker an end that cannot be shown."""
        now = time.monotonic()
        before = self.refused.get(job_id)
        count, first_s = (before.count + 1, before.first_s) if before else (1, now)
        logger.warning("Slack refuses the card of job %s for the %d. time: %s", job_id, count, error.error)
        if isinstance(error, MessageGone) and count > 1 and (card := self.store.card(job_id)):
            self.store.delete_card(job_id, card)
        if now - first_s > RETRIED_FOR_S:
            logger.error("the card of job %s is given up: Slack refused it for an hour", job_id)
            self.queue.drop_dirty(job_id)
            del self.refused[job_id]
            return
        pause_s = min(2.0 ** min(count, 10), LONGEST_PAUSE_S)
        self.refused[job_id] = _Refusal(first_s=first_s, error=error.error, count=count, again_s=now + pause_s)
        record = self.queue.record(job_id)
        lasting = isinstance(error, PlaceRefused) or (count > 3 and not isinstance(error, MessageGone))
        if record is not None and record.final and lasting:
            self.announcer.send_end(record, error.error)

    def _look_for_workers(self, now_s: float) -> None:
        """Have the cards of open jobs rendered again if there is no worker any more, or one again."""
        if self.queue.workers():
            self._worker_seen_s = now_s
        alone = now_s - self._worker_seen_s > ALONE_AFTER_S
        if alone is not self._alone:
            self._alone = alone
            self.queue.mark_open_dirty()

    def _render(self, job_id: str) -> None:
        record = self.queue.record(job_id)
        if record is None:
            self.queue.drop_dirty(job_id)
            return
        if record.unreadable:
            self._render_unreadable(record)
            return
        now_s = self.queue.now_s()
        self._due_s[job_id] = time.monotonic() + edit_every_s(now_s - (record.started_at_s or now_s))
        ahead = self.queue.record(record.waits_for) if record.waits_for else None
        card = self.cards.update(record, ahead=ahead, alone=self._alone)
        if card is None:
            self._due_s[job_id] = time.monotonic() + 1.0
            return
        if record.final and not self._compare(record, card):
            return
        if record.final or now_s - card.posted_at_s >= POST_EVERY_S:
            # A waiting card goes first: Slack accepts about one message a second in a channel.
            if any(waiting.asked.where == card.channel for waiting in self.queue.reserved()):
                return
            self.cards.post_events(record, card)
        if record.final:
            self.announcer.announce_end(record, card)
        self.queue.mark_rendered(job_id, record.seq)

    def _render_unreadable(self, record: Record) -> None:
        """Say on the card that the record cannot be read, unless a bot of another release renders it meanwhile."""
        first_s = self._unreadable_since_s.setdefault(record.id, time.monotonic())
        if time.monotonic() < first_s + UNREADABLE_S:
            self._due_s[record.id] = first_s + UNREADABLE_S
            return
        logger.warning("job %s cannot be read, perhaps of another release: %s", record.id, record.unreadable)
        if record.asked.where and self.cards.update(record, ahead=None) is None:
            return
        del self._unreadable_since_s[record.id]
        self.queue.drop_dirty(record.id)

    def _compare(self, record: Record, card: PostedCard) -> bool:
        """Notify the channel if a schedule's job ended unlike the one before. Return False if another bot is at it.

        A job that a person ended is not compared. The result is stored right after the post, which prevents a second
        notification.
        """
        schedule_id = record.asked.scheduled_by
        status = result(record)
        if schedule_id is None or card.compared or status is None:
            return True
        with self.store.locked(f"result:{schedule_id}") as acquired:
            if not acquired:
                return False
            before = self.store.result(schedule_id)
            now = Result(job_id=record.id, status=status, at_s=record.ended_at_s or self.queue.now_s())
            if before is not None and before.status != status:
                link = self.chat.permalink(card.channel, card.ts)
                self.chat.post(card.channel, schedules.changed(record, before, now, link=link))
            self.store.save_result(schedule_id, now)
            return True
