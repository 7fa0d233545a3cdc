"""What tests do to the Web API, and what they ask about it afterwards. Safe to use from any thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A demo that stays open for days must not grow for ever.
_CALLS_KEPT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call that the Web API has answered. Arguments are as sent, JSON in them decoded, tokens left out."""

    method: str
    arguments: Mapping[str, Any]
    at_s: float
    status: int
    # Slack's error name; empty where the call was fine.
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """How a call is to fail. With `status` 200 the body carries `error`; 429 carries Retry-After.

    `after_the_deed` loses only the answer: the call is carried out first, as when a connection breaks too late.
    """

    method: str
    status: int = 500
    error: str = ""
    retry_after_s: int = 1
    after_the_deed: bool = False


@dataclass(kw_only=True, slots=True)
class Faults:
    """Faults that wait for their calls, and the log of all calls."""

    _pending: list[Fault] = field(default_factory=list)
    _calls: deque[Call] = field(default_factory=lambda: deque(maxlen=_CALLS_KEPT))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, fault: Fault, times: int) -> None:
        """Lets the next `times` calls of the fault's method (`*` for any) fail."""
        with self._lock:
            self._pending += [fault] * times

    def next_for(self, method: str) -> Fault | None:
        """Takes the oldest fault that waits for this method."""
        with self._lock:
            for index, fault in enumerate(self._pending):
                if fault.method in (method, "*"):
                    return self._pending.pop(index)
        return None

    def clear(self) -> None:
        """Forgets the faults that no call has met yet."""
        with self._lock:
            self._pending.clear()

    def record(self, call: Call) -> None:
        """Adds an answered call to the log."""
        with self._lock:
            self._calls.append(call)

    def calls(self, method: str = "") -> tuple[Call, ...]:
        """Returns the calls of one method, or all, oldest first."""
        with self._lock:
            return tuple(call for call in self._calls if method in ("", call.method))
