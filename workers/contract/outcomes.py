"""How a job ended well: one frozen class a kind of job. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workers.contract.jobs import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Version `version` is in the registry. `metrics` by ML.EVALUATE's names; `digest` as in Deploy."""

    kind: Literal["trained"] = "trained"
    version: int
    digest: str
    metrics: Mapping[str, float]
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """An endpoint answers with `version` at `address`; `previous` ran before, None where nothing did."""

    kind: Literal["deployed"] = "deployed"
    version: int
    previous: int | None
    address: str
    ready: int
    replicas: Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescaled:
    """An endpoint's replicas went from `before` to `after` (counts ready), and now lie within `replicas`."""

    kind: Literal["rescaled"] = "rescaled"
    before: int
    after: int
    replicas: Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A load test at `at_s` seconds after its start. Rates per second, latencies in ms, None where nothing answered."""

    at_s: float
    asked_rps: float
    achieved_rps: float
    failures_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    replicas: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """Medians over `runs` earlier tests of the same target with the same rate, which were not INVALID.

    `latency_ms` by percentile; `errors_percent` of the requests; `verdict` the newest one's.
    """

    runs: int
    verdict: Literal["PASS", "FAIL"]
    achieved_rps: float
    errors_percent: float
    latency_ms: Mapping[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """A load test's report. `verdict` PASS, FAIL or INVALID with its reasons in words.

    Everything but `timeline` is over what is judged: the ramp is left out. `asked_rps` and `achieved_rps` are means.
    `failures` counts `dropped` too: requests that were due and could not be sent, because too many were under way.
    `latency_ms` (from the instant at which a request should have left) and `service_ms` (from when it left) are by
    percentile, 100 the slowest; `send_lag_ms` is how much later than due requests left. `scaled_after_s` and
    `settled_after_s` tell when the replicas' number first and last changed, None where it did not. `aborted_after_s`:
    when the test was ended early. `timeline` has at most 20 points, evenly apart, for a chart.
    """

    kind: Literal["tested"] = "tested"
    verdict: Literal["PASS", "FAIL", "INVALID"]
    reasons: tuple[str, ...]
    asked_rps: float
    achieved_rps: float
    requests: int
    failures: int
    failures_by_kind: Mapping[str, int]
    latency_ms: Mapping[float, float]
    replicas_before: int
    replicas_most: int
    scaled_after_s: float | None
    settled_after_s: float | None = None
    dropped: int = 0
    send_lag_ms: Mapping[float, float] = field(default_factory=dict)
    service_ms: Mapping[float, float] = field(default_factory=dict)
    aborted_after_s: float | None = None
    earlier: Earlier | None = None
    timeline: tuple[Point, ...] = ()


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


Outcome = Trained | Deployed | Rescaled | Tested | CapacityFound
