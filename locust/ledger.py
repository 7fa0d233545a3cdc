"""What became of each second's requests: counted in the workers, merged exactly in the master. Pure.

Second 0 begins where the ramp ends, so that the steady part is whole seconds; the ramp's are negative.
A request counts as sent in the second in which it left, as ended in the second in which its answer came.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True, slots=True)
class Second:
    """One second. `latencies_ms` counts latencies of three significant digits; `failures` counts by an error's words.

    Time-outs are in `latencies_ms` too; other failures, which come sooner than any answer, are not.
    """

    sent: int = 0
    ended: int = 0
    latencies_ms: Counter[float] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The second as JSON has it; a latency's key becomes a string."""
        return {
            "sent": self.sent,
            "ended": self.ended,
            "latencies_ms": {f"{latency_ms:g}": count for latency_ms, count in self.latencies_ms.items()},
            "failures": dict(self.failures),
        }


class Ledger:
    """All seconds of a test, or of what has not been reported yet."""

    def __init__(self) -> None:
        self.seconds: dict[int, Second] = {}

    def second(self, number: int) -> Second:
        """The second `number`, empty where nothing has been counted yet."""
        found = self.seconds.get(number)
        if found is None:
            found = self.seconds[number] = Second()
        return found

    def ended(self, number: int, *, latency_ms: float | None, failure: str | None) -> None:
        """Count an answer, or what came in its stead; `latency_ms` None keeps it out of the latencies."""
        second = self.second(number)
        second.ended += 1
        if latency_ms is not None:
            second.latencies_ms[float(f"{latency_ms:.3g}")] += 1
        if failure is not None:
            second.failures[failure] += 1

    def take(self) -> dict[int, dict[str, Any]]:
        """Everything counted since the last call, for `merge`; the ledger is empty afterwards."""
        taken, self.seconds = self.seconds, {}
        return {number: second.as_json() for number, second in taken.items()}

    def merge(self, taken: Mapping[int, Mapping[str, Any]]) -> None:
        """Add what another ledger's `take` gave."""
        for number, more in taken.items():
            second = self.second(number)
            second.sent += more["sent"]
            second.ended += more["ended"]
            second.failures.update(more["failures"])
            second.latencies_ms.update({float(key): count for key, count in more["latencies_ms"].items()})

    def steady(self) -> Second:
        """Everything after the ramp, as if it had been one second."""
        whole = Second()
        for second in (second for number, second in self.seconds.items() if number >= 0):
            whole.sent += second.sent
            whole.ended += second.ended
            whole.latencies_ms.update(second.latencies_ms)
            whole.failures.update(second.failures)
        return whole

    @property
    def in_flight(self) -> int:
        """Requests sent whose end has not been counted."""
        return sum(second.sent - second.ended for second in self.seconds.values())
