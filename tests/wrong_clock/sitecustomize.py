"""A wrong clock for one process: with this folder on PYTHONPATH, Python imports the module before all others."""

import datetime
import os
import time

AHEAD_S = float(os.environ["SEATRIAL_TEST_CLOCK_AHEAD_S"])
_real_time, _real_time_ns, _RealDatetime = time.time, time.time_ns, datetime.datetime


class _IncludesReal(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)


class WrongDatetime(_RealDatetime, metaclass=_IncludesReal):
    """Datetime with a wrong `now`. Values that C code makes count as instances."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]  # not Self
        return _RealDatetime.fromtimestamp(time.time(), tz)


time.time = lambda: _real_time() + AHEAD_S
time.time_ns = lambda: _real_time_ns() + round(AHEAD_S * 1e9)
datetime.datetime = WrongDatetime  # type: ignore[misc]
