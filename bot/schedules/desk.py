"""The schedules as one request may use them, on behalf of its asker. `bot.app` makes one for each invocation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.blocks import Message
from bot.chat import Chat, ChatError, ChatRefused
from bot.schedules.clock import next_times
from bot.schedules.repository import Schedules
from bot.state import Invocation, Schedule
from bot.store import Store
from bot.views import replies

RUN_AGAIN_AFTER_S = 10.0
"""Requests to run one schedule within this time are one run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BotScheduleDesk:
    """Implements `commands.ScheduleDesk` for one invocation. `run_command` runs a command for another invocation."""

    repository: Schedules
    store: Store
    chat: Chat
    run_command: Callable[[str, Invocation], Message | None]
    invocation: Invocation

    def all(self) -> Sequence[Schedule]:
        return self.repository.all()

    def add(self, *, cron: str, time_zone: str, command: str) -> Schedule:
        """Store a new schedule, or return the one that an earlier call for the same invocation stored."""
        return self.repository.add(
            cron=cron,
            time_zone=time_zone,
            command=command,
            channel=self.invocation.channel,
            by=self.invocation.by.id,
            by_name=self.invocation.by.name,
            key=self.invocation.key,
        )

    def announce(self, *, schedule: Schedule, message: Message) -> Message | None:
        try:
            self.chat.post(schedule.channel, message)
        except ChatRefused as error:
            self.repository.remove(schedule)
            return replies.no_card(schedule.channel, error.error)
        except ChatError:
            return message
        return None

    def next_times(self, *, schedule: Schedule) -> Sequence[float]:
        return next_times(schedule, after_s=self.invocation.at_s)

    def pause(self, *, schedule: Schedule) -> None:
        self.repository.pause(schedule)

    def resume(self, *, schedule: Schedule) -> Schedule:
        return self.repository.resume(schedule)

    def remove(self, *, schedule: Schedule) -> None:
        self.repository.remove(schedule)

    def run(self, *, schedule: Schedule) -> Message | None:
        """Submit the schedule's job. Runs at about the same time are one job."""
        key = self.store.get_or_set(f"run:{schedule.id}", self.invocation.key, for_s=RUN_AGAIN_AFTER_S)
        invocation = replace(self.invocation, key=key, channel=schedule.channel, scheduled_by=schedule.id)
        reply = self.run_command(schedule.command, invocation)
        if reply is None and self.invocation.channel != schedule.channel:
            return replies.plain(f"Schedule {schedule.id} runs now; its card is in <#{schedule.channel}>.")
        return reply
