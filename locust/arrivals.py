"""When each request of a load test is due. Pure: no Locust, no clock.

Every request has its place under the curve of the rate: number n is due when the area under it reaches n. So a rate may
change in any way, its shares move between workers, and the total is still what was asked for, to the last request.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from random import Random

NEVER = math.inf
_ROUNDING = 1e-6  # of a request: what sums of floats may be off


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A rate that goes linearly from `from_rps` to `to_rps` in `length_s` seconds."""

    from_rps: float
    to_rps: float
    length_s: float

    @property
    def asked(self) -> float:
        """How many requests it asks for: the area under its rate."""
        return (self.from_rps + self.to_rps) / 2 * self.length_s

    def asked_by(self, at_s: float) -> float:
        """How many of them by `at_s` seconds after its beginning."""
        return at_s * (self.from_rps + self._slope * at_s / 2)

    def when(self, asked: float) -> float:
        """The inverse of `asked_by`, in the form that loses no digits where the slope is slight."""
        root = math.sqrt(max(self.from_rps**2 + 2 * self._slope * asked, 0.0))
        return 2 * asked / (self.from_rps + root) if asked > 0 else 0.0

    def rate_rps(self, at_s: float) -> float:
        """The rate `at_s` seconds after its beginning."""
        return self.from_rps + self._slope * at_s

    @property
    def _slope(self) -> float:
        return (self.to_rps - self.from_rps) / self.length_s


class ArrivalSchedule:
    """The rate of a whole test. All times are seconds since the traffic began."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._stages = tuple(stages)
        self._starts_s = list(accumulate((stage.length_s for stage in self._stages), initial=0.0))
        self._asked = list(accumulate((stage.asked for stage in self._stages), initial=0.0))

    @property
    def end_s(self) -> float:
        """When the traffic ends."""
        return self._starts_s[-1]

    @property
    def total(self) -> float:
        """How many requests should leave in all."""
        return self._asked[-1]

    @property
    def highest_rps(self) -> float:
        """The highest rate."""
        return max(max(stage.from_rps, stage.to_rps) for stage in self._stages)

    def rate_rps(self, at_s: float) -> float:
        """The rate at `at_s`; 0 before the beginning and from the end on."""
        if not 0 <= at_s < self.end_s:
            return 0.0
        number = bisect_right(self._starts_s, at_s) - 1
        return self._stages[number].rate_rps(at_s - self._starts_s[number])

    def asked_by(self, at_s: float) -> float:
        """How many requests should have left by `at_s`: the area under the rate."""
        if at_s >= self.end_s:
            return self.total
        number = bisect_right(self._starts_s, max(at_s, 0.0)) - 1
        return self._asked[number] + self._stages[number].asked_by(max(at_s, 0.0) - self._starts_s[number])

    def when(self, asked: float) -> float:
        """When `asked` requests should have left: the inverse of `asked_by`."""
        if asked >= self.total:
            return self.end_s
        number = bisect_right(self._asked, asked) - 1
        return self._starts_s[number] + self._stages[number].when(asked - self._asked[number])


class Arrivals:
    """One worker's part of a schedule: which of its requests is due next, whatever share of the rate it has just now.

    Of `workers` workers with equal shares, number `index` (from 0) takes every `workers`-th request. Poisson: gaps are
    exponential, given their number (uniform order statistics), so that chance never makes a test's total miss the asked
    one. A test that asks for less than one request has one.
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
        self.next_s = NEVER
        """When the next request is due; NEVER where no more is, or while the share is 0."""
        self.schedule = schedule
        self._offset = (index % workers + min(0.5, schedule.total)) / workers
        self._random = (random or Random()).random if poisson else None
        self._share = 0.0
        self._asked = 0.0  # of the schedule, when the share last changed
        self._own = 0.0  # of that, this worker's
        self._place = self._offset  # of the next request, counted as `_own` is
        self._left = 0  # requests to come, where they come by chance

    def take(self, share: float, *, at_s: float) -> None:
        """Have `share` (0 to 1) of the rate from `at_s` on."""
        asked = self.schedule.asked_by(at_s)
        self._own += self._share * (asked - self._asked)
        self._asked, self._share = asked, share
        if self._random is not None:
            self._left = math.floor(self._end - self._offset + _ROUNDING) - math.floor(self._own - self._offset)
            self._place = self._own
            self._draw(self._random())
        self._find()

    def advance(self) -> None:
        """Go on to the request after the next one."""
        if self._random is None:
            self._place += 1
        else:
            self._draw(self._random())
        self._find()

    @property
    def _end(self) -> float:
        return self._own + self._share * (self.schedule.total - self._asked)

    def _draw(self, chance: float) -> None:
        """The least of `_left` places that are anywhere between the present one and the end."""
        if self._left > 0:
            self._place += (self._end - self._place) * (1 - chance ** (1 / self._left))
        else:
            self._place = NEVER
        self._left -= 1

    def _find(self) -> None:
        if self._share <= 0 or self._place == NEVER:
            self.next_s = NEVER
            return
        asked = self._asked + (self._place - self._own) / self._share
        self.next_s = self.schedule.when(asked) if asked <= self.schedule.total + _ROUNDING else NEVER
