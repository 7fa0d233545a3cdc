"""When a load test is to be ended early. Pure."""

from workers.contract.load import Abort, Sample

SURPLUS_S = 2.0
"""So many seconds' worth of requests may be sent beyond the highest rate: users who wake in herds are uneven."""
LEAST_SURPLUS = 30.0
"""And so many at any rate: one user's task may be a whole visit."""


class ErrorRateStop:
    """Watches a test's seconds, one after the other, for `abort`; None: it never ends."""

    def __init__(self, abort: Abort | None) -> None:
        self._abort = abort
        self._at_s = 0.0  # when the last second ended
        self._bad_since_s: float | None = None

    def ends_with(self, second: Sample) -> bool:
        """Whether too much has failed in every second for long enough, this one the last of them.

        A second in which no request ended says nothing, neither for nor against.
        """
        began_s, self._at_s = self._at_s, second.at_s
        if self._abort is None or not second.ended_per_s:
            return False
        if 100 * second.failures_per_s <= self._abort.errors_percent * second.ended_per_s:
            self._bad_since_s = None
            return False
        if self._bad_since_s is None:
            self._bad_since_s = began_s
        return second.at_s - self._bad_since_s >= self._abort.for_s


class OverrateStop:
    """Watches the seconds of a test whose requests a Locust file of one's own sends: it sends what it likes.

    A leaky bucket: what is sent above `highest_rps` fills it, what is sent below empties it.
    """

    def __init__(self, highest_rps: float) -> None:
        self.surplus = 0.0
        """How many requests too many have been sent."""
        self._highest_rps = highest_rps
        self._at_s = 0.0  # when the last second ended
        self._sent = 0  # requests that had left by then

    def ends_with(self, second: Sample) -> bool:
        """Return whether too much has been sent by the end of this second."""
        length_s, self._at_s = second.at_s - self._at_s, second.at_s
        sent, self._sent = second.requests - second.dropped - self._sent, second.requests - second.dropped
        self.surplus = max(self.surplus + sent - self._highest_rps * length_s, 0.0)
        return self.surplus > max(SURPLUS_S * self._highest_rps, LEAST_SURPLUS)
