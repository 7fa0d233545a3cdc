"""Rules that end a load test early. Pure."""

from workers.contract.load import Abort, Sample

SURPLUS_S = 2.0
"""Seconds' worth of requests that may be sent above the highest rate: users who act in waves are uneven."""
LEAST_SURPLUS = 30.0
"""Requests that may always be sent above it: one user's task may be a whole visit."""


class ErrorRateStop:
    """Applies `abort` to a test's seconds, one after the other. Without `abort` it never ends the test."""

    def __init__(self, abort: Abort | None) -> None:
        self._abort = abort
        self._at_s = 0.0  # when the last second ended
        self._bad_since_s: float | None = None

    def ends_with(self, second: Sample) -> bool:
        """Return whether too much has failed in every second for long enough, `second` being the last of them.

        A second in which no request ended counts neither way.
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
    """Limits a test in which the user's Locust file decides how much is sent.

    A leaky bucket: requests sent above `highest_rps` fill it, and a lower rate empties it.
    """

    def __init__(self, highest_rps: float) -> None:
        self.surplus = 0.0
        """Requests sent above the limit."""
        self._highest_rps = highest_rps
        self._at_s = 0.0  # when the last second ended
        self._sent = 0  # requests that had left by then

    def ends_with(self, second: Sample) -> bool:
        """Return whether too much has been sent by the end of `second`."""
        length_s, self._at_s = second.at_s - self._at_s, second.at_s
        sent, self._sent = second.requests - second.dropped - self._sent, second.requests - second.dropped
        self.surplus = max(self.surplus + sent - self._highest_rps * length_s, 0.0)
        return self.surplus > max(SURPLUS_S * self._highest_rps, LEAST_SURPLUS)
