"""Compares the results of a schedule's jobs, and notifies its channel of a change. The relay uses it."""

import time

from bot.cards.card import result
from bot.chat import Chat
from bot.state import PostedCard, Result
from bot.store import Store
from bot.views import schedules
from workers.contract.record import Record


class ScheduleResults:
    """The newest result of each schedule. Raises ChatError."""

    def __init__(self, *, store: Store, chat: Chat) -> None:
        self._store = store
        self._chat = chat

    def compare(self, record: Record, card: PostedCard) -> bool:
        """Notify the channel if a schedule's job ended unlike the one before. Return False if another bot is at it.

        A job that a person ended is not compared. The result is stored right after the post, which prevents a second
        notification.
        """
        schedule_id = record.asked.scheduled_by
        status = result(record)
        if schedule_id is None or card.compared or status is None:
            return True
        with self._store.locked(f"result:{schedule_id}") as acquired:
            if not acquired:
                return False
            before = self._store.result(schedule_id)
            now = Result(job_id=record.id, status=status, at_s=record.ended_at_s or time.time())
            if before is not None and before.status != status:
                link = self._chat.permalink(card.channel, card.ts)
                self._chat.post(card.channel, schedules.changed(record, before, now, link=link))
            self._store.save_result(schedule_id, now)
            return True
