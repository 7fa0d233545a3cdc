"""The desk: the services that one request may use on behalf of its asker.

`bot.app` makes one for each invocation. Rules and cards are the intake's; answers are the requests' own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from bot.blocks import Message
from bot.chat import Chat, ChatError, ChatRefused
from bot.commands import COMMANDS, Command, Request, UsageError, read_command
from bot.commands.command import Submit
from bot.intake import Intake
from bot.lookup import PublishedLookup
from bot.policy import Refused
from bot.schedules.clock import next_times
from bot.schedules.overlap import overlap
from bot.schedules.repository import Schedules
from bot.state import Invocation, Schedule
from bot.store import Store
from bot.views import replies
from workers.contract.jobs import Job
from workers.contract.queue import PreviousOpen
from workers.contract.record import Record

MOST_COMPARED = 50
"""Firings that are searched for the shortest interval. An expression seldom needs more than a week's."""
RUN_AGAIN_AFTER_S = 10.0
"""Requests to run one schedule within this time are one run."""


@dataclass(frozen=True, kw_only=True)
class BotDesk(PublishedLookup):
    """Implements `commands.Desk` for one invocation. Raises Refused, and QueueUnavailable while Redis is away."""

    commands: ClassVar[Mapping[str, Command]] = COMMANDS
    store: Store
    chat: Chat
    intake: Intake
    schedules: Schedules
    invocation: Invocation

    def workers(self) -> Sequence[str]:
        return self.queue.workers()

    def read(self, command: str) -> Request:
        return read_command(command, self)

    def job(self, job_id: str) -> Record:
        if record := self.queue.record(job_id):
            return record
        raise Refused(f"There is no job #{job_id}; /jobs lists the newest.")

    def check(self, job: Job) -> None:
        self.intake.check(job, self.invocation.by)

    def submit(self, job: Job, *, dry_run: bool = False) -> Message | None:
        return self.intake.submit(job, self.invocation, dry_run=dry_run)

    def cancel(self, record: Record) -> Message | None:
        return self.intake.cancel(record, self.invocation.by)

    def decide(self, record: Record, *, approve: bool) -> Message | None:
        return self.intake.decide(record, self.invocation.by, approve=approve)

    def check_schedule(self, schedule: Schedule) -> None:
        try:
            request = self.read(schedule.command)
        except UsageError:
            request = None
        job = request.job if isinstance(request, Submit) else None
        self.intake.check_schedule(schedule, self.invocation.by, job)

    def add_schedule(self, *, cron: str, time_zone: str, command: str) -> Schedule:
        asked = self.invocation
        by, by_name = asked.by.id, asked.by.name
        return self.schedules.add(
            cron=cron,
            time_zone=time_zone,
            command=command,
            channel=asked.channel,
            by=by,
            by_name=by_name,
            key=asked.key,
        )

    def announce(self, schedule: Schedule, message: Message) -> Message | None:
        try:
            self.chat.post(schedule.channel, message)
        except ChatRefused as error:
            self.schedules.remove(schedule)
            return replies.no_card(schedule.channel, error.error)
        except ChatError:
            return message
        return None

    def next_times(self, schedule: Schedule) -> Sequence[float]:
        return next_times(schedule, after_s=self.queue.now_s())

    def overlap(self, schedule: Schedule, job: Job) -> tuple[float, float] | None:
        times = next_times(schedule, after_s=self.queue.now_s(), count=MOST_COMPARED)
        return overlap(times, job, self.recent())

    def run_schedule(self, schedule: Schedule) -> Message | None:
        key = self.store.get_or_set(f"run:{schedule.id}", self.invocation.key, for_s=RUN_AGAIN_AFTER_S)
        invocation = replace(self.invocation, key=key, channel=schedule.channel, scheduled_by=schedule.id)
        try:
            reply = self.read(schedule.command).answer(replace(self, invocation=invocation))
        except PreviousOpen as previous:
            raise Refused(
                f"Job #{previous.job_id} of schedule {schedule.id} has not ended. No new job was started, because a "
                "schedule has one job at a time."
            ) from previous
        if reply is None and self.invocation.channel != schedule.channel:
            return replies.plain(f"Schedule {schedule.id} runs now; its card is in <#{schedule.channel}>.")
        return reply
