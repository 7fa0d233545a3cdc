"""Posts the details of jobs in the threads under their cards: lines, files and charts. The relay uses it."""

import logging
from itertools import groupby

from bot.cards import card as cards
from bot.cards import thread
from bot.chat import Chat, ChatRefused
from bot.state import PostedCard
from bot.store import Store
from workers.contract import events as e
from workers.contract.queue import Queue
from workers.contract.record import Record

logger = logging.getLogger(__name__)


class ThreadPoster:
    """Posts each event once. Raises ChatError, after which a second call continues with the next event."""

    def __init__(self, *, queue: Queue, store: Store, chat: Chat) -> None:
        self._queue = queue
        self._store = store
        self._chat = chat
        self._charts_accepted = True
        """False after Slack has refused a chart: the workspace does not have the block yet."""

    def post(self, record: Record, card: PostedCard) -> None:
        """Post the events that the thread lacks. The count is stored after each post, which prevents repetition."""
        posted = card.posted_events
        for stands_alone, group in groupby(self._queue.events(record.id, posted), key=_stands_alone):
            events = list(group)
            for event in events if stands_alone else ():
                self._post_alone(event, record, card)
                posted += 1
                self._store.set_posted(record.id, posted)
            if not stands_alone:
                for message in thread.messages(events):
                    self._chat.post(card.channel, message, thread_ts=card.ts)
                posted += len(events)
                self._store.set_posted(record.id, posted)

    def _post_alone(self, event: e.Event, record: Record, card: PostedCard) -> None:
        match event:
            case e.Attached():
                data = self._queue.file(event.file)
                if data is not None:
                    self._chat.upload(card.channel, data, name=event.name, title=event.title, thread_ts=card.ts)
            case e.Succeeded():
                self._post_charts(event, record, card)

    def _post_charts(self, event: e.Succeeded, record: Record, card: PostedCard) -> None:
        """Post a job's charts, if it has any and the workspace accepts them.

        They have at most 20 points and can be read without opening a file. The attached picture has every second.
        """
        message = cards.charts(record.job, event.outcome)
        if message is None or not self._charts_accepted:
            return
        try:
            self._chat.post(card.channel, message, thread_ts=card.ts)
        except ChatRefused as error:
            if error.error != "invalid_blocks":
                raise
            self._charts_accepted = False
            logger.info("this workspace accepts no data_visualization blocks: charts are pictures only")


def _stands_alone(event: e.Event) -> bool:
    """Return True if the event has a message of its own. Lines of other events share one."""
    return isinstance(event, e.Attached | e.Succeeded)
