"""Protocol of a job: the facts that bot and workers need of any kind.

Each kind is a frozen class in a module named after it, beside the outcome of its success. Code outside this package
asks a job through this Protocol and never tests which kind it is.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from workers.contract.settings import Approvals, SettingsFile

Change = Literal["versions", "endpoint"]
"""A part of the catalogue that a job may change: the versions of its model, or the endpoint of its environment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """The highest rate that a job sends, to which caps and approvals apply, and for how long."""

    rate_rps: float
    duration_s: float


class Outcome(Protocol):
    """The result of a job that succeeded."""

    @property
    def kind(self) -> str:
        """Return the name on the wire."""


class Job(Protocol):
    """A request to the workers. Implementations are frozen dataclasses, because a job is a value on the wire."""

    steps: ClassVar[tuple[str, ...]]
    """The names of the job's steps, in their order."""
    outcome: ClassVar[type[Outcome]]
    """The class of its outcome."""

    @property
    def kind(self) -> str:
        """Return the name on the wire and of the kind's modules."""

    @property
    def summary(self) -> str:
        """Return the job in a few words for a person, without mark-up."""

    @property
    def resource(self) -> str:
        """Return the key of the resource that only one job may use at a time. Later jobs wait in order."""

    @property
    def model(self) -> str:
        """Return the model's name, or "" if the job is about a load target."""

    @property
    def environment(self) -> str | None:
        """Return the name of the environment or load target that the job is about, if any."""

    @property
    def load(self) -> Load | None:
        """Return the load that the job sends, if any."""

    @property
    def change(self) -> Change | None:
        """Return the part of the catalogue to refresh after the job, if any."""

    def approvals_needed(self, settings: SettingsFile) -> Approvals | None:
        """Return the approvals that the job needs before it may run, or None.

        Raises KeyError if the settings do not have the job's environment.
        """

    def missing_setting(self, settings: SettingsFile) -> str:
        """Return what the job refers to and `settings` lack, like "environment staging", or ""."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The person who asked for a job, and the conversation for the answer, as opaque ids of the chat.

    `by` and `where` are a person's and a conversation's id, and `by_name` is the person's name for logs. The queue sets
    `at_s`, in Unix seconds by Redis' clock, when it reserves the job.
    """

    by: str
    by_name: str
    where: str
    at_s: float = 0.0
    scheduled_by: str | None = None


class EndpointJob:
    """The facts of a job about an endpoint, or about a load target (`model` is ""). A mixin for the kinds."""

    __slots__ = ()
    model: str
    environment: str

    @property
    def place(self) -> str:
        """Return the endpoint or load target in words."""
        return f"{self.model} on {self.environment}" if self.model else self.environment

    @property
    def resource(self) -> str:
        return f"endpoint:{self.environment}/{self.model}"

    @property
    def load(self) -> Load | None:
        return None

    @property
    def change(self) -> Change | None:
        return "endpoint" if self.model else None

    def approvals_needed(self, settings: SettingsFile) -> Approvals | None:
        """See Job. A change needs the environment's approvals; a load needs those of its place above the cap."""
        place = settings.place(self.environment)
        cap_rps = place.max_load_rps
        capped = self.load is None or (cap_rps is not None and self.load.rate_rps > cap_rps)
        return place.approvals if capped else None

    def missing_setting(self, settings: SettingsFile) -> str:
        if not self.model:
            return "" if self.environment in settings.targets else f"target {self.environment}"
        if self.model not in settings.models:
            return f"model {self.model}"
        return "" if self.environment in settings.environments else f"environment {self.environment}"
