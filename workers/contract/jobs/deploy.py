"""Job that rolls a version out to an environment."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.jobs.job import EndpointJob, Outcome
from workers.contract.replicas import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """An endpoint serves `version` at `address`. `previous` is the version that ran before, if any."""

    kind: Literal["deployed"] = "deployed"
    version: int
    previous: int | None
    address: str
    ready: int
    replicas: Replicas

    @property
    def replaced(self) -> int | None:
        """Return the version that a roll-back would restore, if any."""
        return None if self.previous == self.version else self.previous


@dataclass(frozen=True, kw_only=True, slots=True)
class Deploy(EndpointJob):
    """Roll `version` of `model` out to `environment`.

    `digest` is the version's content digest ("sha256:…") when the job was requested: the worker deploys exactly the
    content that was approved, or fails. `replicas` None keeps the current bounds, or else takes those in the settings.
    """

    steps: ClassVar[tuple[str, ...]] = ("check version", "roll out")
    outcome: ClassVar[type[Outcome]] = Deployed
    kind: Literal["deploy"] = "deploy"
    model: str
    version: int
    environment: str
    digest: str
    replicas: Replicas | None = None

    @property
    def summary(self) -> str:
        with_replicas = f" with {self.replicas} replicas" if self.replicas else ""
        return f"deploy {self.model} v{self.version} to {self.environment}{with_replicas}"
