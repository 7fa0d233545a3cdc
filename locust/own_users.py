"""User classes of another Locust file, in place of the tokens: the ledger gets what Locust's `request` event tells.

They keep the rate as they see fit. Latency is as Locust measured it, from when a user got round to sending.
"""

from time import monotonic
from typing import Any

import gevent
from connection import failure_words
from ledger import Ledger
from locust.exception import CatchResponseError
from traffic_plan import Plan

OTHERS = "another failure"
MOST_KINDS = 50
"""So many kinds of failures are told apart: one's own words may have a number in them that is never the same."""
LONGEST = 100
"""So many characters of them are told."""
_DEEPEST = 10  # exceptions that wrap one another


class OwnUsers:
    """Requests of a process's own users while one test lasts. Ends them by itself with the schedule."""

    def __init__(self, environment: Any, *, plan: Plan, ledger: Ledger, begun_s: float) -> None:
        self._environment = environment
        self._plan = plan
        self._ledger = ledger
        self._begun_s = begun_s
        self._over = False
        self._kinds: set[str] = set()
        environment.events.request.add_listener(self._record)
        left_s = begun_s + plan.schedule.end_s - monotonic()
        gevent.spawn_later(max(left_s, 0.0), self._end)

    @property
    def over(self) -> bool:
        """See Traffic."""
        return self._over

    def take(self, share: float) -> None:
        """See Traffic; the users' number is their rate already."""

    def stop(self) -> None:
        """See Traffic. Locust stops the users itself; what they are in the middle of is not counted."""
        if not self._over:
            self._over = True
            self._environment.events.request.remove_listener(self._record)

    def _end(self) -> None:
        if not self._over:
            self._environment.runner.stop()

    def _record(self, *, response_time: float | None, exception: BaseException | None, **_: Any) -> None:
        took_ms = response_time or 0.0
        began_s = monotonic() - self._begun_s - took_ms / 1000
        if not 0 <= began_s <= self._plan.schedule.end_s:
            return
        second = self._ledger.second(self._plan.seconds.number(began_s))
        second.leave(lag_ms=None)
        second.end(None if exception is None else self._kind(_words(exception)[:LONGEST]))
        if exception is None:
            second.measure(latency_ms=took_ms, service_ms=None)

    def _kind(self, words: str) -> str:
        if len(self._kinds) < MOST_KINDS:
            self._kinds.add(words)
        return words if words in self._kinds else OTHERS


def _words(error: BaseException) -> str:
    """A failure in a few words, the same for the same cause: of what the clients wrap around it, the innermost."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"HTTP {status}"
    for _ in range(_DEEPEST):
        inner = (
            getattr(error, "original", None) or getattr(error, "reason", None) or error.__cause__ or error.__context__
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    if isinstance(error, OSError):
        return failure_words(error)
    return str(error) if type(error) in (Exception, CatchResponseError) else type(error).__name__
