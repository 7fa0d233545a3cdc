"""The Protocols and values that all commands share: requests, the desk that answers them, forms, usage errors.

Parsers, the desk and the listeners use it. Each verb defines its own requests; this module must not know any verb.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.blocks import Message as Message
from bot.state import Invocation, Schedule
from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Job
from workers.contract.record import Record as Record
from workers.contract.settings import SettingsFile as SettingsFile


class UsageError(Exception):
    """A command that cannot be understood.

    `problem` is a sentence that names the wrong word, on one line and without mark-up. `usage` is the usage line of the
    form that was probably meant. `nearest` is a whole command that is understood and wants the same, or "".
    """

    def __init__(self, problem: str, *, usage: str, nearest: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.usage = usage
        self.nearest = nearest


class Lookup(Protocol):
    """The facts that a parser may look up."""

    @property
    def settings(self) -> SettingsFile:
        """The settings file."""

    def versions(self, model: str) -> Sequence[Version]:
        """Return the published versions of `model`, oldest first."""

    def served(self) -> Sequence[Served]:
        """Return all endpoints."""

    def recent(self) -> Sequence[Record]:
        """Return the newest jobs, newest first."""


class ScheduleStore(Protocol):
    """The stored schedules."""

    def all(self) -> Sequence[Schedule]:
        """Return all schedules, oldest first."""

    def pause(self, schedule: Schedule) -> None:
        """Stop firing."""

    def resume(self, schedule: Schedule) -> Schedule:
        """Fire again from the next time on. Return the new state."""

    def remove(self, schedule: Schedule) -> None:
        """Delete the schedule."""


class Desk(Lookup, Protocol):
    """The services that a request may use on behalf of its asker. Methods raise Refused if a rule forbids it."""

    @property
    def invocation(self) -> Invocation:
        """The asker and the channel of the request."""

    @property
    def commands(self) -> Mapping[str, "Command"]:
        """All commands by their verb."""

    @property
    def schedules(self) -> ScheduleStore:
        """The schedules."""

    def read(self, command: str) -> "Request":
        """Parse a whole command. Raises UsageError."""

    def workers(self) -> Sequence[str]:
        """Return the names of the live workers."""

    def job(self, job_id: str) -> Record:
        """Return the record of a job. Raises Refused if the job is unknown."""

    def check(self, job: Job) -> None:
        """Raise Refused if a rule forbids the job."""

    def submit(self, job: Job, *, dry_run: bool = False) -> Message | None:
        """Submit a job, or with `dry_run` only explain it."""

    def cancel(self, record: Record) -> Message | None:
        """Cancel a job, or ask a running job to stop."""

    def decide(self, record: Record, *, approve: bool) -> Message | None:
        """Approve or deny a job."""

    def check_schedule(self, schedule: Schedule) -> None:
        """Raise Refused if a rule forbids the asker to change the schedule."""

    def add_schedule(self, *, cron: str, time_zone: str, command: str) -> Schedule:
        """Store a new schedule of the asker, for the channel of the request; once for each invocation."""

    def announce(self, schedule: Schedule, message: Message) -> Message | None:
        """Post `message` to the schedule's channel and return None, or return a reply if Slack does not take it.

        A schedule is removed again if its channel refuses messages.
        """

    def next_times(self, schedule: Schedule) -> Sequence[float]:
        """Return the next firings in Unix seconds."""

    def overlap(self, schedule: Schedule, job: Job) -> tuple[float, float] | None:
        """Return the shortest interval between firings and the usual duration of `job`, in seconds, if it is longer."""

    def run_schedule(self, schedule: Schedule) -> Message | None:
        """Submit the schedule's job now, once for requests at about the same time. Its card goes to its channel."""


class Request(Protocol):
    """A parsed command. Implementations are frozen dataclasses in their verb's file."""

    def answer(self, desk: Desk) -> Message | None:
        """Carry out the request. Return the reply to the asker, or None if a card says everything."""

    def spelled(self, settings: SettingsFile) -> str:
        """Return the shortest command that parses to this request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submit(ABC):
    """The request to run a job, or with `dry_run` only to explain it. The verb that submits a kind has a subclass."""

    job: Job
    dry_run: bool = False

    @abstractmethod
    def command(self, settings: SettingsFile, *, model: str) -> str:
        """Return the command for the job. `model` is the model's name, or "" to leave it out."""

    def spelled(self, settings: SettingsFile) -> str:
        command = self.command(settings, model=self.job.model if len(settings.models) > 1 else "")
        return f"{command} dry-run" if self.dry_run else command

    def answer(self, desk: Desk) -> Message | None:
        return desk.submit(self.job, dry_run=self.dry_run)


@dataclass(frozen=True, slots=True)
class SimpleRequest:
    """A request that one function answers. Its whole command identifies it, under any settings."""

    command: str
    reply: Callable[[Desk], Message | None] = field(compare=False)

    def answer(self, desk: Desk) -> Message | None:
        return self.reply(desk)

    def spelled(self, settings: SettingsFile) -> str:
        return self.command


ButtonHandler = Callable[[Record, Desk], Message | None]
"""Carries out a click on a button of the record's card, and returns the reply as Request.answer does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One way to use a command: its usage line, and its effect in a few words."""

    usage: str
    does: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A slash command: its rows in the manual, its parser, and the buttons that it answers by their action.

    `parse(text, lookup)` reads the text after the verb. It raises UsageError for the first mistake; `nearest` corrects
    only that mistake, and `commands.read` corrects the others. `alone` is the request of the verb without text; None
    asks for help.
    """

    verb: str
    does: str
    forms: tuple[Form, ...]
    parse: Callable[[str, Lookup], Request]
    alone: Request | None = None
    buttons: Mapping[str, ButtonHandler] = field(default_factory=dict)
