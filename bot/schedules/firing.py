"""Fires a schedule that is due, and reports missed firings to its channel. The Timekeeper calls it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks import Message
from bot.chat import Chat, ChatRefused
from bot.dispatcher import Dispatcher
from bot.state import Schedule
from bot.views import replies, schedules as views

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Firing:
    """Submits the jobs of schedules. Raises ChatError if Slack must be tried again later."""

    dispatcher: Dispatcher
    chat: Chat

    def fire(self, schedule: Schedule, due_s: float) -> None:
        """Submit the schedule's job on behalf of its author, or report the reason to its channel.

        A second call for the same time submits no second job.
        """
        try:
            problem = self.dispatcher.run(
                lambda desk: desk.read(schedule.command).answer(desk),
                user=schedule.by,
                channel=schedule.channel,
                key=f"schedule:{schedule.id}:{due_s:.0f}",
                scheduled_by=schedule.id,
            )
        except ChatRefused as error:
            problem = replies.refused(str(error))
        if problem is not None:
            self._report(schedule, views.not_fired(schedule, problem))

    def missed(self, schedule: Schedule, due_s: Sequence[float]) -> None:
        """Report firings that no bot handled in time."""
        self._report(schedule, views.missed(schedule, due_s))

    def _report(self, schedule: Schedule, message: Message) -> None:
        """Post to the schedule's channel, or to its author if the channel refuses messages."""
        for place in (schedule.channel, schedule.by):
            try:
                self.chat.post(place, message)
                return
            except ChatRefused as error:
                logger.warning("a report about schedule %s cannot be posted in %s: %s", schedule.id, place, error.error)
