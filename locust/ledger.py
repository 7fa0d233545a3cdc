"""Counts of a test's requests for each second: filled by the workers, merged exactly by the master. Pure.

A request belongs to the second in which it was due, not to the one in which it left or ended. Second 0 begins at the
end of the ramp, so that whole seconds are judged; seconds of the ramp have negative numbers.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)  # percentiles in a result; 100 is the slowest request
LEAST_MS = 0.01  # resolution: smaller values count as this one

Histogram = Counter[float]  # milliseconds of three significant digits → number of requests


def three_digits(value_ms: float) -> float:
    return float(f"{value_ms:.3g}") if value_ms > LEAST_MS else LEAST_MS


def percentile_ms(histogram: Mapping[float, int], percentile: float) -> float | None:
    """Return the least value that `percentile` per cent of the values do not exceed (nearest rank); None if empty."""
    # Rounded, so that 99.9 % of 1,000 is the 999th and not, by a float's last bit, the one after it.
    rank = max(1, math.ceil(round(sum(histogram.values()) * percentile / 100, 6)))
    for value_ms in sorted(histogram):
        rank -= histogram[value_ms]
        if rank <= 0:
            return value_ms
    return None


class Timeline:
    """Numbering of the seconds of a test of `end_s` seconds. Second 0 begins at the end of the ramp of `ramp_s`."""

    def __init__(self, *, ramp_s: float, end_s: float) -> None:
        self.first = -math.ceil(ramp_s)
        self.last = max(math.ceil(end_s - ramp_s), 1) - 1
        self._ramp_s = ramp_s
        self._end_s = end_s

    def number(self, at_s: float) -> int:
        """Return the number of the second at `at_s`, a time of the test. The test's end belongs to the last second."""
        return min(math.floor(at_s - self._ramp_s), self.last)

    def bounds_s(self, number: int) -> tuple[float, float]:
        """Return begin and end of a second. The first and the last may be shorter than a second."""
        return max(self._ramp_s + number, 0.0), min(self.passed_s(number), self._end_s)

    def passed_s(self, number: int) -> float:
        """Return the time at which the whole second has passed, which may be after the test's end."""
        return self._ramp_s + number + 1


@dataclass(kw_only=True, slots=True)
class SecondCounts:
    """Counts of the requests that were due in one second, or in several.

    `sent` requests left, `dropped` ones did not; `ended` is the number of sent ones with a response or a failure.
    `failures` counts reasons, including those of dropped requests. `lag_ms` is how late requests left. `latency_ms`
    (from the due time) and `service_ms` (from the time a request left) include time-outs, but no other failures.
    """

    sent: int = 0
    dropped: int = 0
    ended: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latency_ms: Histogram = field(default_factory=Counter)
    service_ms: Histogram = field(default_factory=Counter)
    lag_ms: Histogram = field(default_factory=Counter)

    def leave(self, *, lag_ms: float | None) -> None:
        """Count a request that leaves now. `lag_ms` is None if its due time is unknown."""
        self.sent += 1
        if lag_ms is not None:
            self.lag_ms[three_digits(lag_ms)] += 1

    def drop(self, reason: str) -> None:
        self.dropped += 1
        self.failures[reason] += 1

    def end(self, failure: str | None) -> None:
        """Count the end of a request, with the reason if it failed."""
        self.ended += 1
        if failure is not None:
            self.failures[failure] += 1

    def measure(self, *, latency_ms: float, service_ms: float | None) -> None:
        """Count a latency. `service_ms` is None if the request's due time is unknown."""
        self.latency_ms[three_digits(latency_ms)] += 1
        if service_ms is not None:
            self.service_ms[three_digits(service_ms)] += 1

    def add(self, other: Self) -> None:
        self.sent += other.sent
        self.dropped += other.dropped
        self.ended += other.ended
        self.failures.update(other.failures)
        self.latency_ms.update(other.latency_ms)
        self.service_ms.update(other.service_ms)
        self.lag_ms.update(other.lag_ms)

    def as_message(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        fields: dict[str, Any] = {
            name: Counter(value) if isinstance(value, dict) else value for name, value in message.items()
        }
        return cls(**fields)

    @property
    def failed(self) -> int:
        return self.failures.total()


class Ledger:
    """Counts by second: of a whole test in the master, of what is not yet reported in a worker."""

    def __init__(self) -> None:
        self.seconds: dict[int, SecondCounts] = {}

    def second(self, number: int) -> SecondCounts:
        """Return the counts of the second `number`, which may be empty."""
        found = self.seconds.get(number)
        if found is None:
            found = self.seconds[number] = SecondCounts()
        return found

    def take(self) -> dict[int, dict[str, Any]]:
        """Remove and return everything counted since the last call, for `merge`."""
        taken, self.seconds = self.seconds, {}
        return {number: counts.as_message() for number, counts in taken.items()}

    def merge(self, taken: Mapping[int, Mapping[str, Any]]) -> SecondCounts:
        """Add the return value of another ledger's `take`; return the sum of the added counts."""
        added = SecondCounts()
        for number, message in taken.items():
            counts = SecondCounts.from_message(message)
            self.second(number).add(counts)
            added.add(counts)
        return added

    def judged(self) -> SecondCounts:
        return total(counts for number, counts in self.seconds.items() if number >= 0)


def total(parts: Iterable[SecondCounts]) -> SecondCounts:
    whole = SecondCounts()
    for part in parts:
        whole.add(part)
    return whole
