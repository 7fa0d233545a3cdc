"""When a schedule is due: by the clock of its zone, over the nights on which clocks change."""

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from bot.commands.cron import for_apscheduler, names_hours, read_cron
from bot.state import Schedule

LONGEST_SHIFT = timedelta(hours=2)
"""No zone puts its clocks ahead or back by more at once; Antarctica/Troll does so by this."""


def next_times(schedule: Schedule, *, after_s: float, count: int = 3) -> list[float]:
    """The next `count` firings after `after_s`, in Unix seconds; fewer where there are no more.

    None comes before the one that the schedule waits for: what lies before that is seen to, if only by a bot whose
    clock was ahead.

    On the two nights a year on which clocks change, an expression that names hours goes by RFC 5545, 3.3.5: a time that
    is skipped is due as much later (02:30 at 03:30), and one that comes twice is due the first time only. One that is
    about every hour goes on evenly: there is nothing to make up for, and the hour that comes twice is two hours.
    """
    if schedule.next_due_s is not None:
        after_s = max(after_s, schedule.next_due_s - 1)
    return list(islice(_firings(schedule.cron, schedule.time_zone, after_s), count))


class ClockTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler publishes no types
    """`next_times` as a trigger of APScheduler.

    Raises CronError for what is no cron expression, and what ZoneInfo raises for a zone that is not known here.
    """

    def __init__(self, cron: str, time_zone: str) -> None:
        self._cron, self._time_zone = read_cron(cron), ZoneInfo(time_zone).key
        self._reached: datetime | None = None
        self._firings: Iterator[float] = iter(())

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next firing after the previous one, or after now where there was none; None where there are no more."""
        after = previous_fire_time or now
        # APScheduler asks for what was missed firing by firing: that goes on where the last answer left off.
        if after != self._reached:
            self._firings = _firings(self._cron, self._time_zone, after.timestamp())
        at_s = next(self._firings, None)
        self._reached = None if at_s is None else datetime.fromtimestamp(at_s, UTC)
        return self._reached


def _firings(cron: str, time_zone: str, after_s: float) -> Iterator[float]:
    """All firings after `after_s`, each once, in order."""
    zone, every_hour = ZoneInfo(time_zone), not names_hours(cron)
    # By the clock on the wall, which UTC stands for here: what APScheduler 3.11 makes of a change of clocks depends on
    # the expression (a time that comes twice fires twice; one that a midnight's change skips may be left out).
    trigger = CronTrigger(**for_apscheduler(cron), timezone=UTC)
    wall = datetime.fromtimestamp(after_s, zone).replace(tzinfo=UTC) - LONGEST_SHIFT
    waiting: list[float] = []
    while (wall := trigger.get_next_fire_time(None, wall + timedelta(milliseconds=1))) is not None:
        # By PEP 495 the first fold reads the wall as RFC 5545 does, and only what is skipped has its folds in reverse.
        first, second = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        for at_s in {first} if not every_hour else {first, second} if first <= second else ():
            heapq.heappush(waiting, at_s)
        # A later wall may be an earlier time, but by no more than a shift.
        while waiting and waiting[0] <= first - LONGEST_SHIFT.total_seconds():
            at_s = heapq.heappop(waiting)
            if at_s > after_s:
                yield at_s
                after_s = at_s
