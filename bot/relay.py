"""Renders changed jobs as cards, within Slack's budget of edits, and posts their details in the cards' threads.

The relay is level-triggered: a job stays marked as changed until its newest state has been rendered. A restart of the
bot, an outage of Slack or a used-up budget therefore only delays a card.
"""

import logging
import threading
import time
from itertools import groupby

from bot.blocks import Message, digest
from bot.cards import card as cards
from bot.cards import thread
from bot.chat import Chat, ChatError, ChatRefused, RateLimited
from bot.state import PostedCard, Result
from bot.store import Store
from bot.views import schedules
from workers.contract import events as e
from workers.contract.queue import Queue, QueueUnavailable
from workers.contract.record import Record

logger = logging.getLogger(__name__)

TICK_S = 0.2
UNAVAILABLE_S = 2.0
"""Pause after a fault of Slack."""
REFUSED_BLOCKS = ("invalid_blocks", "msg_blocks_too_long")
"""Slack's errors for blocks that it does not accept. It still accepts the text."""
POST_EVERY_S = 10.0
"""Shortest time between posts in a running job's thread. The rest follows when the job ends."""


def edit_every_s(age_s: float) -> float:
    """Return the time between edits of a running job's card: short at first, longer for long jobs.

    At 3 s, two jobs use a budget of 40 edits a minute.
    """
    return 3.0 if age_s < 120 else 6.0 if age_s < 900 else 15.0


class Relay:
    """Renders changed jobs. Each bot runs one relay."""

    def __init__(self, *, queue: Queue, store: Store, chat: Chat) -> None:
        self._queue = queue
        self._store = store
        self._chat = chat
        self._not_before_s = 0.0
        self._due_s: dict[str, float] = {}
        self._charts_accepted = True
        """False after Slack has refused a chart: the workspace does not have the block yet."""

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
        self._queue.expire_due()
        now = time.time()
        if now < self._not_before_s:
            return
        states = self._queue.are_final(self._queue.dirty())
        self._due_s = {job_id: due_s for job_id, due_s in self._due_s.items() if due_s > now}
        for final in (True, False):
            for job_id, ended in states.items():
                if ended is final and (final or self._due_s.get(job_id, 0.0) <= now):
                    self._try_to_render(job_id)
                    if time.time() < self._not_before_s:
                        return

    def _try_to_render(self, job_id: str) -> None:
        """Render one job. If Slack is slow or away, pause all jobs."""
        try:
            with self._store.locked(f"card:{job_id}") as acquired:
                if acquired:
                    self._render(job_id)
        except RateLimited as error:
            self._not_before_s = time.time() + error.retry_after_s
        except ChatRefused as error:
            logger.warning("Slack refuses the card of job %s: %s", job_id, error.error)
            self._queue.drop_dirty(job_id)
        except ChatError as error:
            logger.warning("%s; retrying in %g s", error, UNAVAILABLE_S)
            self._not_before_s = time.time() + UNAVAILABLE_S

    def _render(self, job_id: str) -> None:
        record = self._queue.record(job_id)
        if record is None:
            self._queue.drop_dirty(job_id)
            return
        now = time.time()
        self._due_s[job_id] = now + edit_every_s(now - (record.started_at_s or now))
        ahead = self._queue.record(record.waits_for) if record.waits_for else None
        message = cards.render(record, ahead=ahead)
        card = self._store.card(job_id) or self._post(record, message)
        if not self._edit(record, card, message):
            return
        if record.final and record.asked.scheduled_by and not card.compared and not self._compare(record, card):
            return
        if record.final or now - card.posted_at_s >= POST_EVERY_S:
            if self._cards_wait(card.channel):
                return
            self._post_in_thread(record, card)
        self._queue.mark_rendered(job_id, record.seq)

    def _post(self, record: Record, message: Message) -> PostedCard:
        """Post the card of a job after intake failed to post it."""
        channel, ts = self._chat.post(record.asked.where, message)
        rendered = digest(message)
        self._store.save_card(record.id, channel=channel, ts=ts, rendered_digest=rendered)
        return PostedCard(channel=channel, ts=ts, rendered_digest=rendered, posted_events=0, posted_at_s=time.time())

    def _edit(self, record: Record, card: PostedCard, message: Message) -> bool:
        """Edit the card if it shows another message. Return False if the budget of edits is used up."""
        rendered = digest(message)
        if rendered == card.rendered_digest:
            return True
        if not self._store.acquire_edit():
            self._due_s[record.id] = time.time() + 1.0
            return False
        try:
            self._chat.edit(card.channel, card.ts, message)
        except ChatRefused as error:
            if error.error not in REFUSED_BLOCKS:
                raise
            logger.warning("the card of job %s shows text only: %s", record.id, error.error)
            self._chat.edit(card.channel, card.ts, Message(text=message.text))
        self._store.set_rendered(record.id, rendered)
        return True

    def _cards_wait(self, channel: str) -> bool:
        """Return True if a job waits for its card in the channel: Slack accepts about one message a second there."""
        return any(record.asked.where == channel for record in self._queue.reserved())

    def _post_in_thread(self, record: Record, card: PostedCard) -> None:
        """Post the events that the thread lacks. The count is stored after each post, which prevents repetition."""
        posted = card.posted_events
        for stands_alone, group in groupby(self._queue.events(record.id, posted), key=_stands_alone):
            events = list(group)
            for event in events if stands_alone else ():
                self._post_alone(event, record, card)
                posted += 1
                self._store.set_posted(record.id, posted)
            if not stands_alone:
                for text in thread.posts(events):
                    self._chat.post(card.channel, Message(text=text), thread_ts=card.ts)
                posted += len(events)
                self._store.set_posted(record.id, posted)

    def _post_alone(self, event: e.Event, record: Record, card: PostedCard) -> None:
        match event:
            case e.Attached():
                data = self._queue.file(event.file)
                if data is not None:
                    self._chat.upload(card.channel, data, name=event.name, title=event.title, thread_ts=card.ts)
            case e.Succeeded():
                self._post_charts(record, card)

    def _post_charts(self, record: Record, card: PostedCard) -> None:
        """Post the job's charts for Slack to draw, if it has any and the workspace accepts them.

        They have at most 20 points and can be read without opening a file. The attached picture has every second.
        """
        blocks = cards.card_of(record.job).charts(record.outcome)
        if not blocks or not self._charts_accepted:
            return
        text = f"{cards.status(record)}: {record.job.summary}"
        try:
            self._chat.post(card.channel, Message(text=text, blocks=tuple(blocks)), thread_ts=card.ts)
        except ChatRefused as error:
            if error.error != "invalid_blocks":
                raise
            self._charts_accepted = False
            logger.info("this workspace accepts no data_visualization blocks: charts are pictures only")

    def _compare(self, record: Record, card: PostedCard) -> bool:
        """Notify the channel if a schedule's job ended unlike the one before. Return False if another bot is doing so.

        The result is stored right after the post, which prevents a second notification.
        """
        schedule_id = record.asked.scheduled_by or ""
        with self._store.locked(f"result:{schedule_id}") as acquired:
            if not acquired:
                return False
            status = _result(record)
            if status is None:
                return True
            before = self._store.result(schedule_id)
            now = Result(job_id=record.id, status=status, at_s=record.ended_at_s or time.time())
            if before is not None and before.status != status:
                link = self._chat.permalink(card.channel, card.ts)
                self._chat.post(card.channel, schedules.changed(record, before, now, link=link))
            self._store.save_result(schedule_id, now)
            return True


def _stands_alone(event: e.Event) -> bool:
    """Return True if the event has a message of its own. Lines of other events share one."""
    return isinstance(event, e.Attached | e.Succeeded)


def _result(record: Record) -> str | None:
    """Return the status to compare with a schedule's other jobs, or None if a person ended the job."""
    if record.outcome:
        return cards.card_of(record.job).result(record.outcome)
    return record.state if record.state in ("failed", "lost", "expired") else None
