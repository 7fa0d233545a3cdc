"""A toy kind of job: requests that warm an endpoint up. Becomes workers/contract/jobs/warm_up.py."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.jobs.job import EndpointJob, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmedUp:
    """An endpoint that answered `requests` requests."""

    kind: Literal["warmed_up"] = "warmed_up"
    requests: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WarmUp(EndpointJob):
    """Send a few requests to an endpoint."""

    steps: ClassVar[tuple[str, ...]] = ("warm up",)
    outcome: ClassVar[type[Outcome]] = WarmedUp
    kind: Literal["warm_up"] = "warm_up"
    model: str
    environment: str

    @property
    def summary(self) -> str:
        return f"warm up {self.place}"
