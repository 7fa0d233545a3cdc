"""Traffic of the user's Locust file, sent by its user classes instead of the engine.

Locust's `request` event fills the ledger. The users keep the rate as well as they can. Latency is as Locust measures
it: from when a user sends a request, not from when the request was due.
"""

from time import monotonic
from typing import Any

import gevent
from connection import failure_reason
from ledger import Ledger
from locust.exception import CatchResponseError
from traffic_plan import Plan

OTHER = "other failures"
MAX_KINDS = 50
"""Kinds of failure that are counted separately: the user's messages may contain numbers that never repeat."""
MAX_CHARACTERS = 100  # length at which a failure's message is cut
_MAX_DEPTH = 10  # of exceptions that wrap each other


class UserTraffic:
    """Requests of this process's users during one test, counted in `ledger`. It ends with the schedule. See Engine."""

    def __init__(self, environment: Any, *, plan: Plan, ledger: Ledger, begun_s: float) -> None:
        self._environment = environment
        self._plan = plan
        self._ledger = ledger
        self._begun_s = begun_s
        self.over = False
        self._kinds: set[str] = set()
        environment.events.request.add_listener(self._record)
        left_s = begun_s + plan.schedule.end_s - monotonic()
        gevent.spawn_later(max(left_s, 0.0), self._end)

    def take(self, share: float) -> None:
        """Do nothing: the number of users already is the rate."""

    def stop(self) -> None:
        """Count no more requests. Locust stops the users; their unfinished requests are not counted."""
        if not self.over:
            self.over = True
            self._environment.events.request.remove_listener(self._record)

    def _end(self) -> None:
        if not self.over:
            self._environment.runner.stop()

    def _record(self, *, response_time: float | None, exception: BaseException | None, **_: Any) -> None:
        took_ms = response_time or 0.0
        began_s = monotonic() - self._begun_s - took_ms / 1000
        if not 0 <= began_s <= self._plan.schedule.end_s:
            return
        second = self._ledger.second(self._plan.timeline.number(began_s))
        second.leave(lag_ms=None)
        second.end(None if exception is None else self._kind(_reason(exception)[:MAX_CHARACTERS]))
        if exception is None:
            second.measure(latency_ms=took_ms, service_ms=None)

    def _kind(self, reason: str) -> str:
        if len(self._kinds) < MAX_KINDS:
            self._kinds.add(reason)
        return reason if reason in self._kinds else OTHER


def _reason(error: BaseException) -> str:
    """Describe a failure in a few words, always the same for the same cause. Use the innermost wrapped exception."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"HTTP {status}"
    for _ in range(_MAX_DEPTH):
        inner = (
            getattr(error, "original", None) or getattr(error, "reason", None) or error.__cause__ or error.__context__
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    if isinstance(error, OSError):
        return failure_reason(error)
    return str(error) if type(error) in (Exception, CatchResponseError) else type(error).__name__
