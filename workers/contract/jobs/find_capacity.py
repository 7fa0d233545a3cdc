"""Capacity searches: the highest rate at which an endpoint or a load target meets its objectives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.formatting import show_number
from workers.contract.jobs.job import EndpointJob, Load, Outcome
from workers.contract.load import MOST_PROBES, Slo, Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One rate that a search tried, and its verdict. `latency_ms` by percentile."""

    rate_rps: float
    verdict: Literal["PASS", "FAIL", "INVALID"]
    reason: str
    latency_ms: Mapping[float, float]
    errors_percent: float
    replicas: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CapacityFound:
    """The highest rate that met the SLO (None: no rate did), on `replicas` replicas, and every rate that was tried.

    `limit`: why the search ended, as a sentence: the SLO, the highest rate allowed, or a measurement that failed
    (the generator did not keep up, or the target stopped answering). A load target has 0 replicas.
    """

    kind: Literal["capacity_found"] = "capacity_found"
    rate_rps: float | None
    replicas: int
    limit: str
    probes: tuple[Probe, ...]

    @property
    def per_replica_rps(self) -> float | None:
        """Return the rate per replica; None if no rate passed, or without replicas."""
        return self.rate_rps / self.replicas if self.rate_rps is not None and self.replicas else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FindCapacity(EndpointJob):
    """Search the highest rate between `lowest_rps` and `highest_rps` at which an endpoint still meets `slo`.

    Each rate is sent for `probe_s` seconds. With `hold_replicas` the number of replicas stays as it is during the
    search; otherwise the autoscaler may change it within its bounds.
    """

    steps: ClassVar[tuple[str, ...]] = ("find endpoint", "search", "report")
    outcome: ClassVar[type[Outcome]] = CapacityFound
    ramp_s: ClassVar[float] = 2.0
    """Seconds in which each probe's rate rises, unjudged: connections open, and replicas warm up."""
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

    @staticmethod
    def longest_probe_s(longest_s: float) -> float:
        """Return the longest time per rate with which a search ends within `longest_s`."""
        return longest_s / MOST_PROBES

    def probe_stages(self, rate_rps: float) -> tuple[Stage, ...]:
        return (
            Stage(from_rps=0.0, to_rps=rate_rps, length_s=self.ramp_s),
            Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=self.probe_s),
        )

    @property
    def summary(self) -> str:
        between = f"{show_number(self.lowest_rps)} to {show_number(self.highest_rps)} rps"
        held = ", replicas held" if self.hold_replicas else ""
        return f"find the capacity of {self.place} for {self.slo}, {between}{held}"
