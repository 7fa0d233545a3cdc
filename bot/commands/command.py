"""What a typed command can mean, and the errors that its author gets to read. Values and types only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Job
from workers.contract.settings import SettingsFile


class UsageError(Exception):
    """What was typed cannot be understood.

    `problem` is a whole sentence naming the piece at fault, on one line and free of mark-up; `usage` the usage line of
    the form that was probably meant; `nearest` a whole command that would be understood.
    """

    def __init__(self, problem: str, *, usage: str, nearest: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.usage = usage
        self.nearest = nearest


class Lookup(Protocol):
    """What a parser may look up while it reads."""

    @property
    def settings(self) -> SettingsFile:
        """The settings file."""

    def versions(self, model: str) -> Sequence[Version]:
        """The published versions of `model`, oldest first."""

    def served(self) -> Sequence[Served]:
        """What runs."""

    def deployed_before(self, *, environment: str, model: str) -> int | None:
        """The version that a roll-back would bring back, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submit:
    """A job is wanted; with `dry_run`, only what it would do."""

    job: Job
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ListModels:
    """`/model list`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowModel:
    """`/model show MODEL [vN]`; without a version, all of them."""

    model: str
    version: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareVersions:
    """`/model compare vA vB [MODEL]`."""

    model: str
    first: int
    second: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowDeployments:
    """`/deploy status`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowHistory:
    """`/deploy history [ENV]`."""

    environment: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LastLoadTest:
    """`/loadtest last [ENV|TARGET]`; `environment` is a target's name too."""

    environment: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareLoadTests:
    """`/loadtest compare JOB JOB`."""

    first: str
    second: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ListJobs:
    """`/jobs [running|mine]`."""

    which: Literal["all", "running", "mine"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowJob:
    """`/jobs show JOB`."""

    job_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelJob:
    """`/jobs cancel JOB`, `/loadtest stop [JOB]`; None: the load test that runs."""

    job_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryJob:
    """`/jobs retry JOB`."""

    job_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AddSchedule:
    """`/schedule add "CRON" [TIMEZONE] COMMAND…`: `cron` has five fields, as `cron.for_apscheduler` takes them.

    `command` is whole, with its slash and the names that could be left out when it was typed.
    """

    cron: str
    time_zone: str
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ListSchedules:
    """`/schedule list`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSchedule:
    """`/schedule pause|resume|run|remove ID`."""

    change: Literal["pause", "resume", "run", "remove"]
    schedule_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowStatus:
    """`/seatrial status`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowHelp:
    """`/VERB help`; `verb` as in COMMANDS ("/deploy"), or "" for all of them."""

    verb: str = ""


Request = (
    Submit
    | ListModels
    | ShowModel
    | CompareVersions
    | ShowDeployments
    | ShowHistory
    | LastLoadTest
    | CompareLoadTests
    | ListJobs
    | ShowJob
    | CancelJob
    | RetryJob
    | AddSchedule
    | ListSchedules
    | ChangeSchedule
    | ShowStatus
    | ShowHelp
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One way to use a command: its usage line, and what it does, in a few words."""

    usage: str
    does: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A slash command: the manual's rows and the parser in one.

    `parse(text, lookup)` reads what follows the verb. Raises UsageError for the first mistake, whose `nearest` has that
    mistake corrected and no other; `commands.read` corrects them all.
    """

    verb: str
    does: str
    forms: tuple[Form, ...]
    parse: Callable[[str, Lookup], Request]
