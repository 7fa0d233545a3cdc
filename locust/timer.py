"""Alarm clock in gevent's event loop: a timerfd on Linux (exact to microseconds), elsewhere the loop's own timer.

libev's timers have epoll's resolution of a millisecond, so requests would leave half a millisecond late on average.
https://man7.org/linux/man-pages/man2/timerfd_create.2.html
"""

import ctypes
import os
import sys
from collections.abc import Callable
from ctypes import c_int, c_long
from time import monotonic
from typing import Any

_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)  # the same bits as TFD_NONBLOCK | TFD_CLOEXEC
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_READ = 1  # libev's EV_READ


def timer(loop: Any, wake: Callable[[], None]) -> "_TimerFd | _LoopTimer":
    """Return a one-shot timer on the clock of `time.monotonic()`. It calls `wake` in the event loop.

    `set(at_s)` replaces an earlier setting, and fires at once if `at_s` is past. After `close` it never fires again.
    """
    return _TimerFd(loop, wake) if sys.platform == "linux" else _LoopTimer(loop, wake)


class _TimerFd:
    """Timer by the C library, until Python 3.13, which has os.timerfd_create, is the oldest supported version."""

    def __init__(self, loop: Any, wake: Callable[[], None]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._fd = library.timerfd_create(c_int(_CLOCK_MONOTONIC), c_int(_NONBLOCK_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._wake = wake
        self._settled = True  # set again since it fired, or closed
        self._settime = library.timerfd_settime
        self._when = (c_long * 4)()  # struct itimerspec: interval and value, each in seconds and nanoseconds
        self._watcher = loop.io(self._fd, _READ)
        self._watcher.start(self._on_time)

    def set(self, at_s: float) -> None:
        seconds = int(at_s)
        self._arm(seconds, int((at_s - seconds) * 1e9) + 1)

    def close(self) -> None:
        self._settled = True
        self._watcher.stop()
        self._watcher.close()
        os.close(self._fd)

    def _on_time(self) -> None:
        self._settled = False
        self._wake()
        if not self._settled:
            self._arm(0, 0)  # disarm: the descriptor stays readable until it is read or set

    def _arm(self, seconds: int, nanoseconds: int) -> None:
        """Set the timer. This also clears its expirations, so that the descriptor need not be read."""
        self._when[2], self._when[3] = seconds, nanoseconds
        self._settime(self._fd, _ABSOLUTE, self._when, None)
        self._settled = True


class _LoopTimer:
    def __init__(self, loop: Any, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._at_s = 0.0
        self._timer = loop.timer(0.0)

    def set(self, at_s: float) -> None:
        self._at_s = at_s
        self._timer.stop()
        self._timer.close()
        self._timer = self._loop.timer(max(at_s - monotonic(), 0.0))
        self._timer.start(self._on_time)

    def close(self) -> None:
        self._timer.stop()
        self._timer.close()

    def _on_time(self) -> None:
        if monotonic() < self._at_s:  # the loop counts from the time at which it last looked at the clock
            self.set(self._at_s)
        else:
            self._wake()
