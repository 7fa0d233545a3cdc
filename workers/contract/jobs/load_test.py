"""Load tests: a rate over time, and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from workers.contract.formatting import show_duration
from workers.contract.jobs.job import EndpointJob, Load, Outcome
from workers.contract.load import Abort, Sample, Shape, Slo, Spacing, Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRuns:
    """Medians over `runs` earlier tests of the same system at the same rate, without the INVALID ones.

    `latency_ms` is by percentile, `errors_percent` is of the requests, and `verdict` is the newest run's.
    """

    runs: int
    verdict: Literal["PASS", "FAIL"]
    achieved_rps: float
    errors_percent: float
    latency_ms: Mapping[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """A load test's verdict, with its reasons as sentences, and its numbers.

    All numbers but `timeline` leave out the ramp.

    * `asked_rps`, `achieved_rps`: means.
    * `failures`: includes `dropped`, the requests that were due and could not be sent because too many were under way.
    * `latency_ms`: from when a request was due, by percentile; 100 is the slowest request.
    * `service_ms`: from when it left.
    * `send_lag_ms`: from when it was due until it left.
    * `scaled_after_s`, `settled_after_s`: when the number of replicas first and last changed, None if it did not.
    * `aborted_after_s`: when the test was ended early, if it was.
    * `timeline`: at most 20 samples at equal distances, for a chart.
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
    earlier: EarlierRuns | None = None
    timeline: tuple[Sample, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadTest(EndpointJob):
    """Send requests to an endpoint at the rate of `shape` for `duration_s` seconds, after a ramp of `ramp_s`.

    `environment` is the name of an environment or of a load target. A target has no model (`model` is ""), and `owner`
    is its owner in the settings. Without `abort`, failures do not end the test. The ramp is not judged.
    """

    steps: ClassVar[tuple[str, ...]] = ("find endpoint", "load", "report")
    outcome: ClassVar[type[Outcome]] = Tested
    kind: Literal["load_test"] = "load_test"
    model: str
    environment: str
    shape: Shape
    duration_s: float
    ramp_s: float = 0.0
    spacing: Spacing = "constant"
    slo: Slo
    abort: Abort | None = None
    owner: str = ""

    @property
    def load(self) -> Load:
        """See Job. The duration includes the ramp."""
        return Load(rate_rps=self.shape.highest_rps, duration_s=self.ramp_s + self.duration_s)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the rate over the whole test, with the ramp first if there is one."""
        stages = self.shape.stages(self.duration_s)
        ramp = Stage(from_rps=0.0, to_rps=stages[0].from_rps, length_s=self.ramp_s)
        return (ramp, *stages) if self.ramp_s else stages

    @property
    def summary(self) -> str:
        spacing = ", Poisson arrivals," if self.spacing == "poisson" else ""
        return f"load test {self.place} at {self.shape}{spacing} for {show_duration(self.duration_s)}"
