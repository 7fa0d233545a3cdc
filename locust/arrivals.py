"""Schedule of a load test: the time at which each request is due. Pure: no Locust, no clock.

Request n is due when the area under the curve of the rate reaches n. The rate may change and its shares may move
between workers: the total is still the requested one, to the last request.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from random import Random

NEVER = math.inf
_ROUNDING = 1e-6  # of a request: error of sums of floats


@dataclass(frozen=True, kw_only=True, slots=True)
class RateStage:
    """Rate that changes linearly from `from_rps` to `to_rps` in `length_s` seconds."""

    from_rps: float
    to_rps: float
    length_s: float

    @property
    def total(self) -> float:
        return (self.from_rps + self.to_rps) / 2 * self.length_s

    def due_by(self, at_s: float) -> float:
        """Return the number of requests in its first `at_s` seconds."""
        return at_s * (self.from_rps + self._slope * at_s / 2)

    def time_of(self, number: float) -> float:
        """Return the inverse of `due_by`, in the form that loses no digits for slight slopes."""
        root = math.sqrt(max(self.from_rps**2 + 2 * self._slope * number, 0.0))
        return 2 * number / (self.from_rps + root) if number > 0 else 0.0

    def rate_rps(self, at_s: float) -> float:
        """Return the rate `at_s` seconds after its beginning."""
        return self.from_rps + self._slope * at_s

    @property
    def _slope(self) -> float:
        return (self.to_rps - self.from_rps) / self.length_s


class ArrivalSchedule:
    """Rate of a whole test. All times are seconds since the traffic began."""

    def __init__(self, stages: Iterable[RateStage]) -> None:
        self._stages = tuple(stages)
        self._starts_s = list(accumulate((stage.length_s for stage in self._stages), initial=0.0))
        self._totals = list(accumulate((stage.total for stage in self._stages), initial=0.0))
        self.end_s, self.total = self._starts_s[-1], self._totals[-1]
        self.highest_rps = max(max(stage.from_rps, stage.to_rps) for stage in self._stages)

    def rate_rps(self, at_s: float) -> float:
        """Return the rate at `at_s`, which is 0 before the beginning and from the end on."""
        if not 0 <= at_s < self.end_s:
            return 0.0
        index = bisect_right(self._starts_s, at_s) - 1
        return self._stages[index].rate_rps(at_s - self._starts_s[index])

    def due_by(self, at_s: float) -> float:
        """Return the number of requests due by `at_s`: the area under the rate."""
        if at_s >= self.end_s:
            return self.total
        index = bisect_right(self._starts_s, max(at_s, 0.0)) - 1
        return self._totals[index] + self._stages[index].due_by(max(at_s, 0.0) - self._starts_s[index])

    def time_of(self, number: float) -> float:
        """Return the time at which `number` requests are due: the inverse of `due_by`."""
        if number >= self.total:
            return self.end_s
        index = bisect_right(self._totals, number) - 1
        return self._starts_s[index] + self._stages[index].time_of(number - self._totals[index])


class Arrivals:
    """Due times of one worker's requests, for any share of the schedule's rate.

    Of `workers` workers with equal shares, number `index` (from 0) takes every `workers`-th request. With `poisson`,
    gaps are exponential, but their number is fixed (uniform order statistics), so that chance does not change a test's
    total. A test of less than one request has one.
    """

    def __init__(
        self,
        schedule: ArrivalSchedule,
        *,
        index: int = 0,
        workers: int = 1,
        poisson: bool = False,
        random: Random | None = None,
    ) -> None:
        self.next_s = NEVER  # time of the next request; NEVER at the end of the schedule, or while the share is 0
        self.schedule = schedule
        self._offset = (index % workers + min(0.5, schedule.total)) / workers
        self._random = (random or Random()).random if poisson else None
        self._share = 0.0
        self._due = 0.0  # requests of the whole schedule, up to the last change of the share
        self._own = 0.0  # this worker's part of them
        self._place = self._offset  # of the next request, on the scale of `_own`
        self._left = 0  # requests still to come, for `poisson`

    def take(self, share: float, *, at_s: float) -> None:
        """Take `share` (0 to 1) of the rate from `at_s` on."""
        due = self.schedule.due_by(at_s)
        self._own += self._share * (due - self._due)
        self._due, self._share = due, share
        if self._random is not None:
            self._left = math.floor(self._end - self._offset + _ROUNDING) - math.floor(self._own - self._offset)
            self._place = self._own
            self._draw(self._random())
        self._find()

    def advance(self) -> None:
        if self._random is None:
            self._place += 1
        else:
            self._draw(self._random())
        self._find()

    @property
    def _end(self) -> float:
        return self._own + self._share * (self.schedule.total - self._due)

    def _draw(self, chance: float) -> None:
        """Move to the least of `_left` random places between the present place and the end."""
        if self._left > 0:
            self._place += (self._end - self._place) * (1 - chance ** (1 / self._left))
        else:
            self._place = NEVER
        self._left -= 1

    def _find(self) -> None:
        if self._share <= 0 or self._place == NEVER:
            self.next_s = NEVER
            return
        number = self._due + (self._place - self._own) / self._share
        self.next_s = self.schedule.time_of(number) if number <= self.schedule.total + _ROUNDING else NEVER
