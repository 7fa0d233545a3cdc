"""Posts the cards of jobs, keeps them up to date, and posts details in the threads under them.

Intake and the relay use it. `bot.cards` renders the cards.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bot.blocks import Message, date, digest, escape, packed, person
from bot.cards import card as cards
from bot.cards.comparison import compare
from bot.chat import Chat, ChatRefused
from bot.state import PostedCard
from bot.store import Store
from workers.contract import events as e
from workers.contract.queue import Catalogue, Queue
from workers.contract.record import Record

logger = logging.getLogger(__name__)

REFUSED_BLOCKS = ("invalid_blocks", "msg_blocks_too_long")
"""Slack's errors for blocks that it does not accept. It still accepts the text."""
LONGEST = 3500
"""Characters in one message of the thread."""


@dataclass(kw_only=True)
class CardPoster:
    """Posts and edits cards within Slack's budget of edits. Raises ChatError."""

    queue: Queue
    store: Store
    chat: Chat
    catalogue: Catalogue
    _charts_accepted: bool = field(default=True, init=False)
    """False after Slack has refused a chart: the workspace does not have the block yet."""

    def post(self, record: Record, *, ahead: Record | None = None, again: bool = False) -> PostedCard:
        """Post the job's card. `ahead` is the job that it waits for, if any.

        `again`: an earlier post may have arrived although Slack's answer was lost. That card is taken over.
        """
        if again and (found := self._find(record)):
            return self.store.save_card(record.id, channel=record.asked.where, ts=found, rendered_digest="")
        message = cards.render(record, ahead=ahead, change=self._change(record))
        channel, ts = self.chat.post(record.asked.where, message, card_of=_identity(record))
        return self.store.save_card(record.id, channel=channel, ts=ts, rendered_digest=digest(message))

    def _find(self, record: Record) -> str | None:
        channel = record.asked.where
        try:
            # Slack's clock may differ from Redis' by some seconds.
            found = self.chat.find_cards(channel, _identity(record), since_s=record.asked.at_s - 60.0)
            return next((ts for ts in found if not self.store.is_gone(channel=channel, ts=ts)), None)
        except ChatRefused as error:
            logger.warning("an earlier card of job %s cannot be looked for: %s", record.id, error.error)
            return None

    def update(self, record: Record, *, ahead: Record | None, alone: bool = False) -> PostedCard | None:
        """Edit the card if it shows another message, or post it. Return None if the budget of edits is used up.

        `alone`: no worker is alive.
        """
        card = self.store.card(record.id)
        if card is None:
            return self.post(record, ahead=ahead, again=True)
        message = cards.render(record, ahead=ahead, alone=alone, change=self._change(record))
        if digest(message) == card.rendered_digest:
            return card
        if not self.store.acquire_edit():
            return None
        try:
            self.chat.edit(card.channel, card.ts, message)
        except ChatRefused as error:
            if error.error not in REFUSED_BLOCKS:
                raise
            logger.warning("the card of job %s shows text only: %s", record.id, error.error)
            self.chat.edit(card.channel, card.ts, Message(text=message.text))
        self.store.set_rendered(record.id, digest(message))
        return card

    def _change(self, record: Record) -> str:
        """Return what runs now in comparison with what would run, while the job waits for approval."""
        if record.state != "awaiting_approval" or record.job.change != "endpoint":
            return ""
        return compare(record.job, self.catalogue.served(), self.catalogue.versions(record.job.model))

    def post_events(self, record: Record, card: PostedCard) -> None:
        """Post the events that the thread lacks, each once: the number of events is stored after each post.

        Files and charts have a message of their own. Lines of other events share one.
        """
        posted = card.posted_events
        for alone, group in groupby(self.queue.events(record.id, posted), key=_stands_alone):
            events = list(group)
            for batch in [[event] for event in events] if alone else [events]:
                self._post_batch(batch, record, card)
                posted += len(batch)
                self.store.set_posted(record.id, posted)

    def _post_batch(self, events: Sequence[e.Event], record: Record, card: PostedCard) -> None:
        match events[0]:
            case e.Attached() as event:
                data = self.queue.file(event.file)
                if data is not None:
                    self.chat.upload(card.channel, data, name=event.name, title=event.title, thread_ts=card.ts)
            case e.Succeeded() as event:
                self._post_charts(event, record, card)
            case _:
                lines = (f"{date(one.at_s, '{time_secs}')} {text}" for one in events if (text := _line(one)))
                for text in packed(lines, LONGEST):
                    self.chat.post(card.channel, Message(text=text), thread_ts=card.ts)

    def _post_charts(self, event: e.Succeeded, record: Record, card: PostedCard) -> None:
        """Post a job's charts, if it has any and the workspace accepts them.

        They have at most 20 points and can be read without opening a file. The attached picture has every second.
        """
        message = cards.charts(record.job, event.outcome)
        if message is None or not self._charts_accepted:
            return
        try:
            self.chat.post(card.channel, message, thread_ts=card.ts)
        except ChatRefused as error:
            if error.error != "invalid_blocks":
                raise
            self._charts_accepted = False
            logger.info("this workspace accepts no data_visualization blocks: charts are pictures only")


def _identity(record: Record) -> str:
    """Return what identifies the job's card for ever: numbers of jobs begin again if Redis loses its data."""
    return f"{record.id}@{record.asked.at_s}"


def _stands_alone(event: e.Event) -> bool:
    return isinstance(event, e.Attached | e.Succeeded)


def _line(event: e.Event) -> str:
    """Return the event's line in the thread, without its time, or "". Most events have no line."""
    match event:
        case e.Approved():
            return f"approved by {person(event.by)}"
        case e.Started(took_over=True):
            return f"the worker of this job died; restarted on {escape(event.worker)} (attempt {event.attempt})"
        case e.Requeued():
            return f"requeued: {escape(event.reason)}"
        case e.Scaled():
            return f"replicas {event.before} → {event.after}" + (f": {escape(event.reason)}" if event.reason else "")
        case e.Logged():
            return escape(event.line)
        case e.CancelRequested():
            return f"{person(event.by)} requested a stop"
        case _:
            return ""
