"""Searches for the highest rate that an endpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.formatting import show_number
from workers.contract.jobs.job import EndpointJob, Load, Outcome
from workers.contract.load import MOST_PROBES, Slo


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One rate that a search tried, for how long, and what came of it. `latency_ms` by percentile."""

    rate_rps: float
    verdict: Literal["PASS", "FAIL", "INVALID"]
    reason: str
    latency_ms: Mapping[float, float]
    errors_percent: float
    replicas: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityFound:
    """The highest rate that held the SLO, None where none did, on `replicas` replicas; every rate that was tried.

    `limit`: what ended the search, as a sentence: the SLO, the highest rate allowed, or that nothing could be measured
    (the generator did not keep up, or the target went away). A target has 0 replicas.
    """

    kind: Literal["capacity_found"] = "capacity_found"
    rate_rps: float | None
    replicas: int
    limit: str
    probes: tuple[Probe, ...]

    @property
    def per_replica_rps(self) -> float | None:
        """What one replica carries; None where no rate held, and for a target, which has no replicas."""
        return self.rate_rps / self.replicas if self.rate_rps is not None and self.replicas else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FindCapacity(EndpointJob):
    """Search the highest rate between `lowest_rps` and `highest_rps` at which an endpoint still holds `slo`.

    Each rate that is tried stands for `probe_s` seconds. `hold_replicas`: the replicas there are now stay as they are
    while the search lasts; otherwise the autoscaler may add some, up to its bounds.
    """

    steps: ClassVar[tuple[str, ...]] = ("find endpoint", "search", "report")
    outcome: ClassVar[type[Outcome]] = CapacityFound
    kind: Literal["find_capacity"] = "find_capacity"
    model: str
    environment: str
    lowest_rps: float
    highest_rps: float
    probe_s: float
    hold_replicas: bool = False
    slo: Slo
    owner: str = ""

    @property
    def load(self) -> Load:
        """See Job. The duration is that of all probes together."""
        return Load(rate_rps=self.highest_rps, duration_s=MOST_PROBES * self.probe_s)

    @property
    def summary(self) -> str:
        """See Job."""
        between = f"{show_number(self.lowest_rps)} to {show_number(self.highest_rps)} rps"
        held = ", replicas held" if self.hold_replicas else ""
        return f"find the capacity of {self.place} for {self.slo}, {between}{held}"
