"""What became of a test's requests, second by second: counted in the workers, merged exactly in the master. Pure.

A request is filed under the second in which it was due, whenever it left and ended. Second 0 begins where the ramp
ends, so that what is judged is whole seconds; the ramp's are negative.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)
"""What a result tells of a distribution; 100 is the slowest request."""
LEAST_MS = 0.01
"""Below which nothing is told apart."""

Histogram = Counter[float]
"""Milliseconds of three significant digits → how many requests."""


def three_digits(value_ms: float) -> float:
    """The key under which a Histogram counts the value."""
    return float(f"{value_ms:.3g}") if value_ms > LEAST_MS else LEAST_MS


def percentile_ms(histogram: Mapping[float, int], percentile: float) -> float | None:
    """The least value that `percentile` per cent of those counted do not exceed (nearest rank); None where none is."""
    # Rounded, so that 99.9 % of 1,000 is the 999th and not, by a float's last bit, the one after it.
    rank = max(1, math.ceil(round(sum(histogram.values()) * percentile / 100, 6)))
    for value_ms in sorted(histogram):
        rank -= histogram[value_ms]
        if rank <= 0:
            return value_ms
    return None


class Seconds:
    """How a test of `end_s` seconds is cut into numbered seconds: 0 begins where the ramp of `ramp_s` ends."""

    def __init__(self, *, ramp_s: float, end_s: float) -> None:
        self.first = -math.ceil(ramp_s)
        self.last = max(math.ceil(end_s - ramp_s), 1) - 1
        self._ramp_s = ramp_s
        self._end_s = end_s

    def number(self, at_s: float) -> int:
        """In which one `at_s` lies, a time of the test; its end belongs to the last."""
        return min(math.floor(at_s - self._ramp_s), self.last)

    def bounds_s(self, number: int) -> tuple[float, float]:
        """When it begins and ends. The first and the last may be shorter than a second."""
        return max(self._ramp_s + number, 0.0), min(self.passed_s(number), self._end_s)

    def passed_s(self, number: int) -> float:
        """When a whole second of that number has passed, be it beyond the end."""
        return self._ramp_s + number + 1


@dataclass(kw_only=True, slots=True)
class Second:
    """The requests that were due in one second.

    `sent` left, `dropped` did not; `ended` of those sent have had their answer or failed. `failures` counts by kind,
    the dropped among them. `lag_ms` is how late they left. Time-outs are in `latency_ms` (from when a request was due)
    and `service_ms` (from when it left); what failed sooner than any answer comes is not.
    """

    sent: int = 0
    dropped: int = 0
    ended: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latency_ms: Histogram = field(default_factory=Counter)
    service_ms: Histogram = field(default_factory=Counter)
    lag_ms: Histogram = field(default_factory=Counter)

    def leave(self, *, lag_ms: float | None) -> None:
        """Count a request that leaves now; None: nobody knows when it was due."""
        self.sent += 1
        if lag_ms is not None:
            self.lag_ms[three_digits(lag_ms)] += 1

    def drop(self, words: str) -> None:
        """Count a request that cannot leave."""
        self.dropped += 1
        self.failures[words] += 1

    def end(self, failure: str | None) -> None:
        """Count a request's end: an answer, or a failure in words."""
        self.ended += 1
        if failure is not None:
            self.failures[failure] += 1

    def measure(self, *, latency_ms: float, service_ms: float | None) -> None:
        """Count how long an answer took; None: nobody knows when its request was due."""
        self.latency_ms[three_digits(latency_ms)] += 1
        if service_ms is not None:
            self.service_ms[three_digits(service_ms)] += 1

    def add(self, other: Self) -> None:
        """Add another part of the same second."""
        self.sent += other.sent
        self.dropped += other.dropped
        self.ended += other.ended
        self.failures.update(other.failures)
        self.latency_ms.update(other.latency_ms)
        self.service_ms.update(other.service_ms)
        self.lag_ms.update(other.lag_ms)

    def as_message(self) -> dict[str, Any]:
        """The second as Locust's messages carry it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """What `as_message` gave, after its journey."""
        fields: dict[str, Any] = {
            name: Counter(value) if isinstance(value, dict) else value for name, value in message.items()
        }
        return cls(**fields)

    @property
    def failed(self) -> int:
        """How many failed, the dropped among them."""
        return self.failures.total()


class Ledger:
    """All seconds of a test, or of what has not been reported yet."""

    def __init__(self) -> None:
        self.seconds: dict[int, Second] = {}

    def second(self, number: int) -> Second:
        """The second `number`, empty where nothing has been filed yet."""
        found = self.seconds.get(number)
        if found is None:
            found = self.seconds[number] = Second()
        return found

    def take(self) -> dict[int, dict[str, Any]]:
        """Everything filed since the last call, for `merge`; the ledger is empty afterwards."""
        taken, self.seconds = self.seconds, {}
        return {number: second.as_message() for number, second in taken.items()}

    def merge(self, taken: Mapping[int, Mapping[str, Any]]) -> Second:
        """Add what another ledger's `take` gave; return the sum of what was added."""
        added = Second()
        for number, message in taken.items():
            part = Second.from_message(message)
            self.second(number).add(part)
            added.add(part)
        return added

    def judged(self) -> Second:
        """Everything after the ramp, as if it had been one second."""
        return total(second for number, second in self.seconds.items() if number >= 0)


def total(seconds: Iterable[Second]) -> Second:
    """The sum of some seconds."""
    whole = Second()
    for second in seconds:
        whole.add(second)
    return whole
