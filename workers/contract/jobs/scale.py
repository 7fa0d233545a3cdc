"""Job that changes the number of an endpoint's replicas."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.jobs.job import EndpointJob, Outcome
from workers.contract.replicas import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescaled:
    """An endpoint changed from `before` to `after` ready replicas. Its bounds are `replicas`."""

    kind: Literal["rescaled"] = "rescaled"
    before: int
    after: int
    replicas: Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale(EndpointJob):
    """Give an endpoint a fixed number of replicas, or the bounds of its autoscaler."""

    steps: ClassVar[tuple[str, ...]] = ("scale",)
    outcome: ClassVar[type[Outcome]] = Rescaled
    kind: Literal["scale"] = "scale"
    model: str
    environment: str
    replicas: Replicas

    @property
    def summary(self) -> str:
        return f"scale {self.model} on {self.environment} to {self.replicas}"
