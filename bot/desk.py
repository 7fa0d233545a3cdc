"""The desk: the services that one request may use on behalf of its asker.

`bot.app` makes one for each invocation. Rules and cards are the intake's; answers are the requests' own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.blocks import Message
from bot.commands import COMMANDS, Command, Request, ScheduleDesk, read_command
from bot.intake import Intake
from bot.lookup import CatalogueLookup
from bot.state import Invocation
from workers.contract.jobs import Job
from workers.contract.record import Record


@dataclass(frozen=True, kw_only=True)
class BotDesk(CatalogueLookup):
    """Implements `commands.Desk` for one invocation. Raises Refused, and QueueUnavailable while Redis is away."""

    intake: Intake
    schedules: ScheduleDesk
    invocation: Invocation

    @property
    def asker_id(self) -> str:
        return self.invocation.by.id

    @property
    def commands(self) -> Mapping[str, Command]:
        return COMMANDS

    def read(self, *, command: str) -> Request:
        return read_command(command, self)

    def workers(self) -> Sequence[str]:
        return self.queue.workers()

    def check(self, *, job: Job) -> None:
        self.intake.check(job, self.invocation.by)

    def submit(self, *, job: Job, dry_run: bool = False) -> Message | None:
        return self.intake.submit(job, self.invocation, dry_run=dry_run)

    def cancel(self, *, record: Record) -> Message | None:
        return self.intake.cancel(record, self.invocation.by)

    def decide(self, *, record: Record, approve: bool) -> Message | None:
        return self.intake.decide(record, self.invocation.by, approve=approve)
