"""Planned failures of the Web API and the log of its calls, for tests. Safe to use from any thread."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Bounds the memory of a demo that runs for days.
_MAX_CALLS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackCall:
    """One answered call of the Web API. Arguments are decoded; tokens are left out."""

    method: str
    arguments: Mapping[str, Any]
    at_s: float
    status: int
    # Slack's error name, or "" for a successful call.
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackFault:
    """A planned failure. With `status` 200 the body has `error`; with 429 the answer has Retry-After.

    `after_action` loses only the answer: the call is executed first, as if the connection broke afterwards.
    """

    method: str
    status: int = 500
    error: str = ""
    retry_after_s: int = 1
    after_action: bool = False


@dataclass(kw_only=True, slots=True)
class Faults:
    """The planned failures and the log of calls."""

    _pending: list[SlackFault] = field(default_factory=list)
    _calls: deque[SlackCall] = field(default_factory=lambda: deque(maxlen=_MAX_CALLS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, fault: SlackFault, times: int) -> None:
        """Make the next `times` calls of the fault's method (`*` for any) fail."""
        with self._lock:
            self._pending += [fault] * times

    def next_for(self, method: str) -> SlackFault | None:
        """Remove and return the oldest fault for this method, or None."""
        with self._lock:
            for index, fault in enumerate(self._pending):
                if fault.method in (method, "*"):
                    return self._pending.pop(index)
        return None

    def clear(self) -> None:
        """Drop the faults that are left."""
        with self._lock:
            self._pending.clear()

    def record(self, call: SlackCall) -> None:
        """Log an answered call."""
        with self._lock:
            self._calls.append(call)

    def calls(self, method: str = "") -> tuple[SlackCall, ...]:
        """Return the calls of one method, or all, oldest first."""
        with self._lock:
            return tuple(call for call in self._calls if method in ("", call.method))
