"""Events become cards: whatever changed is shown, coalesced, within the budget of edits, and the end always.

It works by level, not by edge: the queue keeps a job among the changed ones until its newest state was shown, so
a bot that was down, a Slack that was away and a budget that was used up all end in the same card.
"""

import logging
import threading
import time
from itertools import groupby

from bot.blocks import Message, digest
from bot.cards import thread
from bot.cards.card import render
from bot.cards.load_charts import charts
from bot.chat import Chat, ChatError, ChatRefused, RateLimited
from bot.state import Card, Result
from bot.store import Store
from bot.views import schedules
from workers.contract import events as e
from workers.contract.jobs import Tested
from workers.contract.queue import Queue, QueueUnavailable
from workers.contract.record import Record

logger = logging.getLogger(__name__)

TICK_S = 0.2
UNAVAILABLE_S = 2.0
"""Slack is tried again after this long when it has a fault of its own."""
UNSHOWABLE = ("invalid_blocks", "msg_blocks_too_long")
"""Slack's names for blocks that it does not take; the text, which says the same, it does."""
POST_EVERY_S = 10.0
"""A running job's thread gets its lines at most this often; all that is left comes with the end."""


def edit_every_s(age_s: float) -> float:
    """How often a running job's card is edited: eagerly while people watch, slower when it takes long.

    The first figure leaves a budget of 45 edits a minute to two jobs at once.
    """
    return 3.0 if age_s < 120 else 6.0 if age_s < 900 else 15.0


class Relay:
    """Shows what changed; any number of bots may run one each."""

    def __init__(self, *, queue: Queue, store: Store, chat: Chat) -> None:
        self._queue = queue
        self._store = store
        self._chat = chat
        self._not_before_s = 0.0
        self._due_s: dict[str, float] = {}
        self._takes_charts = True
        """Until Slack refuses one: it does so for all where they are not rolled out."""

    def run(self, stop: threading.Event) -> None:
        """Show until `stop`; a Redis that is away is waited for."""
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
        """One round: requests for approval that ran out end, and what changed and is due is shown."""
        self._queue.expire_due()
        now = time.time()
        if now < self._not_before_s:
            return
        states = self._queue.states(self._queue.dirty())
        self._due_s = {job_id: due_s for job_id, due_s in self._due_s.items() if due_s > now}
        for final in (True, False):
            for job_id, ended in states.items():
                if ended is final and (final or self._due_s.get(job_id, 0.0) <= now):
                    self._try_to_show(job_id)
                    if time.time() < self._not_before_s:
                        return

    def _try_to_show(self, job_id: str) -> None:
        """Show one job; where Slack is slow or away, have all of them wait for as long as it asks."""
        try:
            with self._store.locked(f"card:{job_id}") as ours:
                if ours:
                    self._show(job_id)
        except RateLimited as error:
            self._not_before_s = time.time() + error.retry_after_s
        except ChatRefused as error:
            logger.warning("the card of job %s cannot be shown: %s", job_id, error.error)
            self._queue.drop_dirty(job_id)
        except ChatError as error:
            logger.warning("%s; trying again in %g s", error, UNAVAILABLE_S)
            self._not_before_s = time.time() + UNAVAILABLE_S

    def _show(self, job_id: str) -> None:
        record = self._queue.record(job_id)
        if record is None:
            self._queue.drop_dirty(job_id)
            return
        now = time.time()
        self._due_s[job_id] = now + edit_every_s(now - (record.started_at_s or now))
        ahead = self._queue.record(record.waits_for) if record.waits_for else None
        message = render(record, ahead=ahead)
        card = self._store.card(job_id) or self._post(record, message)
        if not self._edit(record, card, message):
            return
        if record.final and record.asked.scheduled_by and not card.compared and not self._compare(record, card):
            return
        if record.final or now - card.posted_at_s >= POST_EVERY_S:
            if self._cards_come_first(card.channel):
                return
            self._tell_thread(record, card)
        self._queue.mark_rendered(job_id, record.seq)

    def _post(self, record: Record, message: Message) -> Card:
        """A card for a job whose first one Slack did not take."""
        channel, ts = self._chat.post(record.asked.where, message)
        shown = digest(message)
        self._store.save_card(record.id, channel=channel, ts=ts, shown=shown)
        return Card(channel=channel, ts=ts, shown=shown, shown_at_s=0.0, posted=0, posted_at_s=time.time())

    def _edit(self, record: Record, card: Card, message: Message) -> bool:
        """Whether the card shows `message` now."""
        shown = digest(message)
        if shown == card.shown:
            return True
        if not self._store.acquire_edit():
            self._due_s[record.id] = time.time() + 1.0
            return False
        try:
            self._chat.edit(card.channel, card.ts, message)
        except ChatRefused as error:
            if error.error not in UNSHOWABLE:
                raise
            logger.warning("the card of job %s is shown without its blocks: %s", record.id, error.error)
            self._chat.edit(card.channel, card.ts, Message(text=message.text))
        self._store.set_rendered(record.id, shown)
        return True

    def _cards_come_first(self, channel: str) -> bool:
        """Whether a job waits for its card there: Slack takes about one message a second in a channel."""
        return any(record.asked.where == channel for record in self._queue.reserved())

    def _tell_thread(self, record: Record, card: Card) -> None:
        """Post what happened since the thread was last told; each post is noted at once, so that none comes twice."""
        told = card.posted
        for stands_alone, group in groupby(self._queue.events(record.id, told), key=_stands_alone):
            events = list(group)
            for event in events if stands_alone else ():
                self._post_alone(event, record, card)
                told += 1
                self._store.set_posted(record.id, told)
            if not stands_alone:
                for text in thread.posts(thread.lines(events)):
                    self._chat.post(card.channel, Message(text=text), thread_ts=card.ts)
                told += len(events)
                self._store.set_posted(record.id, told)

    def _post_alone(self, event: e.Event, record: Record, card: Card) -> None:
        match event:
            case e.Attached():
                data = self._queue.file(event.file)
                if data is not None:
                    self._chat.upload(card.channel, data, name=event.name, title=event.title, thread_ts=card.ts)
            case e.Succeeded(outcome=Tested() as tested):
                self._draw(tested, record, card)

    def _draw(self, tested: Tested, record: Record, card: Card) -> None:
        """Post a load test's charts as Slack's own, where the workspace has them.

        The picture among the files comes in any case: it has every second, all percentiles and the replicas on one
        axis. Slack's own, of at most 20 points, are what can be read without opening anything, value by value.
        """
        blocks = charts(tested)
        if not blocks or not self._takes_charts:
            return
        text = f"{tested.verdict}: {record.job.summary}"
        try:
            self._chat.post(card.channel, Message(text=text, blocks=tuple(blocks)), thread_ts=card.ts)
        except ChatRefused as error:
            if error.error != "invalid_blocks":
                raise
            self._takes_charts = False
            logger.info("this workspace takes no data_visualization blocks: charts are pictures only")

    def _compare(self, record: Record, card: Card) -> bool:
        """Tell the channel where a schedule's job ended otherwise than the one before; whether that is settled.

        What was told is noted right after it, so that no other bot tells it again.
        """
        word = _word(record)
        schedule_id = record.asked.scheduled_by or ""
        with self._store.locked(f"result:{schedule_id}") as ours:
            if not ours:
                return False
            if word is None:
                return True
            before = self._store.result(schedule_id)
            now = Result(job_id=record.id, word=word, at_s=record.ended_at_s or time.time())
            if before is not None and before.word != word:
                link = self._chat.permalink(card.channel, card.ts)
                self._chat.post(card.channel, schedules.changed(record, before, now, link=link))
            self._store.save_result(schedule_id, now)
            return True


def _stands_alone(event: e.Event) -> bool:
    """Whether it is posted by itself; what is told in lines shares a message."""
    return isinstance(event, e.Attached) or (isinstance(event, e.Succeeded) and isinstance(event.outcome, Tested))


def _word(record: Record) -> str | None:
    """What a schedule remembers of how its job ended; None where a person ended it, which says nothing of the job."""
    match record.state, record.outcome:
        case _, Tested() as tested:
            return tested.verdict
        case "succeeded", _:
            return "done"
        case ("failed" | "lost" | "expired") as state, _:
            return state
        case _:
            return None
