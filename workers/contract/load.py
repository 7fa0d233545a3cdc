"""Values that describe a load test: rate over time, objectives, stop rule and samples."""

from dataclasses import dataclass
from typing import Literal

from workers.contract.formatting import digits, exact, show_number

ShapeKind = Literal["constant", "ramp", "steps", "spike"]
Spacing = Literal["constant", "poisson"]
"""Distances between requests at one rate: equal, or exponential as from independent users."""

SHORTEST_S = 1.0  # The shortest test and stop rule. Samples are taken once per second.
FEWEST_STEPS, USUAL_STEPS, MOST_STEPS = 2, 5, 20
MOST_PROBES = 12
"""Limit of the rates that a search tries. A range of 1 to 100 needs seven doublings, then four halvings until a factor
of 2 is less than the difference between two runs of the same test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slo:
    """Objectives of a load test: latency in milliseconds by percentile, and the share of failed requests.

    `latency_ms` maps a percentile in (0, 100) to its upper bound; `errors_percent` is in [0, 100] or None.
    """

    latency_ms: tuple[tuple[float, float], ...] = ()
    errors_percent: float | None = None

    def __str__(self) -> str:
        parts = [f"p{digits(percentile)}<{exact(bound)}ms" for percentile, bound in self.latency_ms]
        if self.errors_percent is not None:
            parts.append(f"errors<{digits(self.errors_percent)}%")
        return ",".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Abort:
    """Rule that stops a load test early: more than `errors_percent` failed in each of `for_s` seconds.

    `errors_percent` is in [0, 100), `for_s` at least SHORTEST_S.
    """

    errors_percent: float
    for_s: float

    def __str__(self) -> str:
        return f"errors>{digits(self.errors_percent)}% for {exact(self.for_s)}s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One second of a load test, or several merged into one, that ended `at_s` seconds after the traffic began.

    Rates are per second. `achieved_rps` counts requests that left; `ended_per_s` answers, failures and drops;
    `failures_per_s` the failed and the dropped; `dropped_per_s` requests that were due and could not be sent.
    Latencies are in milliseconds, or None without an answer; while the test runs, they are of the last three
    seconds. `send_lag_ms` is the 99th percentile of how late requests left.
    The counts are exact and run from the start of the traffic, its ramp included, to the end of this second:
    `requests` were sent or dropped, `failures` of them failed or were dropped.
    """

    at_s: float
    asked_rps: float
    achieved_rps: float
    failures_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None = None
    ended_per_s: float = 0.0
    dropped_per_s: float = 0.0
    send_lag_ms: float = 0.0
    requests: int = 0
    failures: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A rate that changes linearly from `from_rps` to `to_rps` in `length_s` seconds."""

    from_rps: float
    to_rps: float
    length_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Course of the rate between `lowest_rps` and `highest_rps`. A constant rate has equal bounds.

    ramp: linear from the lowest to the highest. steps: `step_count` constant rates at equal distances, the lowest
    first. spike: the lowest, but the highest in the middle fifth of the time.
    """

    kind: ShapeKind = "constant"
    lowest_rps: float
    highest_rps: float
    step_count: int = USUAL_STEPS

    def stages(self, duration_s: float) -> tuple[Stage, ...]:
        low, high = self.lowest_rps, self.highest_rps
        match self.kind:
            case "constant" | "ramp":
                return (Stage(from_rps=low, to_rps=high, length_s=duration_s),)
            case "steps":
                apart = (high - low) / max(self.step_count - 1, 1)
                return tuple(
                    _level(low + step * apart, duration_s / self.step_count) for step in range(self.step_count)
                )
            case "spike":
                return (_level(low, 0.4 * duration_s), _level(high, 0.2 * duration_s), _level(low, 0.4 * duration_s))

    def __str__(self) -> str:
        if self.kind == "constant":
            return f"{show_number(self.highest_rps)} rps"
        between = f"{show_number(self.lowest_rps)}..{show_number(self.highest_rps)} rps"
        return between + {"steps": f" in {self.step_count} steps", "spike": " as a spike"}.get(self.kind, "")


def _level(rps: float, length_s: float) -> Stage:
    return Stage(from_rps=rps, to_rps=rps, length_s=length_s)
