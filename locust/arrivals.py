"""When each request of a load test should leave. Pure: no Locust, no clock, no randomness."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrivals:
    """A rate that grows linearly from 0 to `rate_rps` in `ramp_s` seconds, then stands for `duration_s`.

    All times are seconds since the traffic began.
    """

    rate_rps: float
    ramp_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """When the last request should have left."""
        return self.ramp_s + self.duration_s

    @property
    def total(self) -> int:
        """How many requests should leave in all; at least one, however low the rate."""
        return max(1, round(self.asked_by(self.end_s)))

    def asked_by(self, at_s: float) -> float:
        """How many requests should have left by `at_s`: the area under the rate."""
        at_s = min(max(at_s, 0.0), self.end_s)
        if at_s < self.ramp_s:
            return self.rate_rps * at_s**2 / (2 * self.ramp_s)
        return self.rate_rps * (at_s - self.ramp_s / 2)

    def due_s(self, arrival: float) -> float:
        """When request number `arrival` should leave: the inverse of `asked_by`."""
        in_ramp = self.rate_rps * self.ramp_s / 2
        if arrival < in_ramp:
            return math.sqrt(2 * arrival * self.ramp_s / self.rate_rps)
        return arrival / self.rate_rps + self.ramp_s / 2
