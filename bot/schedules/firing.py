"""Fires a schedule that is due, and reports missed and skipped firings to its channel. The Timekeeper calls it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.blocks import Message
from bot.chat import Chat, ChatRefused
from bot.commands import Desk, UsageError
from bot.dispatcher import Dispatcher
from bot.state import Schedule, SkippedFirings
from bot.store import Store
from bot.views import replies, schedules as views
from workers.contract.queue import PreviousOpen

logger = logging.getLogger(__name__)

UNKNOWN_USER = ("user_not_found", "user_not_visible")
"""Slack's errors for a user who left: https://docs.slack.dev/reference/methods/users.info#errors."""


@dataclass(frozen=True, kw_only=True)
class Firing:
    """Submits the jobs of schedules. Raises ChatError if Slack must be tried again later.

    `pause` stops a schedule until it is resumed.
    """

    dispatcher: Dispatcher
    chat: Chat
    store: Store
    pause: Callable[[Schedule], None]

    def fire(self, schedule: Schedule, due_s: float) -> None:
        """Submit the schedule's job on behalf of its author. If that is impossible, report why and pause the schedule.

        A schedule has one job at a time: a firing is skipped if the previous job has not ended. A second call for the
        same time submits no second job.
        """

        def answer(desk: Desk) -> Message | None:
            try:
                request = desk.read(schedule.command)
            except UsageError as error:
                return replies.refused(error.problem)
            return request.answer(desk)

        try:
            problem = self.dispatcher.run(
                answer,
                user=schedule.by,
                channel=schedule.channel,
                key=f"schedule:{schedule.id}:{due_s:.0f}",
                scheduled_by=schedule.id,
            )
        except PreviousOpen as previous:
            self._skip(schedule, due_s, previous)
            return
        except ChatRefused as error:
            problem = replies.refused(views.AUTHOR_UNKNOWN) if error.error in UNKNOWN_USER else None
            problem = problem or replies.slack_refuses(error.error)
        if problem is not None:
            self._report(schedule, views.stopped(schedule, problem))
            self.pause(schedule)

    def missed(self, schedule: Schedule, due_s: Sequence[float]) -> None:
        """Report firings that no bot handled in time."""
        self._report(schedule, views.missed(schedule, due_s))

    def _skip(self, schedule: Schedule, due_s: float, previous: PreviousOpen) -> None:
        """Report a skipped firing in the thread of the job that has not ended. All its skips share one message."""
        job_id = previous.job_id
        logger.info("schedule %s skips a firing: job %s has not ended", schedule.id, job_id)
        card, before = self.store.card(job_id), self.store.skipped(job_id)
        if card is None or (before and due_s <= before.last_due_s):
            return
        first_due_s, count = (before.first_due_s, before.count + 1) if before else (due_s, 1)
        due = (first_due_s,) if count == 1 else (first_due_s, due_s)
        message = views.skipped(schedule, job_id, due_s=due, count=count, runs=previous.runs)
        try:
            if before:
                ts = before.ts
                self.chat.edit(card.channel, ts, message)
            else:
                _, ts = self.chat.post(card.channel, message, thread_ts=card.ts)
        except ChatRefused as error:
            logger.warning("a skip of schedule %s cannot be reported: %s", schedule.id, error.error)
            return
        skipped = SkippedFirings(ts=ts, first_due_s=first_due_s, last_due_s=due_s, count=count)
        self.store.save_skipped(job_id, skipped)

    def _report(self, schedule: Schedule, message: Message) -> None:
        """Post to the schedule's channel, or to its author if the channel refuses messages."""
        for place in (schedule.channel, schedule.by):
            try:
                self.chat.post(place, message)
                return
            except ChatRefused as error:
                logger.warning("a report about schedule %s cannot be posted in %s: %s", schedule.id, place, error.error)
