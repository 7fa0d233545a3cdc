"""Firing times of schedules by the clock of their time zone, correct across clock changes.

The job store and the answers to `/schedule` use it. Parsing of cron expressions is in `bot.commands.cron`.
"""

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
"""The largest change of clocks in any time zone, which is Antarctica/Troll's."""


def next_times(schedule: Schedule, *, after_s: float, count: int = 3) -> list[float]:
    """Return the next `count` firings after `after_s` in Unix seconds, or fewer if the expression has no more.

    Times before the schedule's next firing are skipped: another bot, with a clock ahead, has already handled them.

    In the two nights a year with a clock change, an expression that names hours follows RFC 5545, 3.3.5. A skipped
    time is due as much later (02:30 at 03:30). A repeated time is due only at its first occurrence. An expression
    for every hour goes on evenly: the skipped hour has no firing, and the repeated hour counts twice.
    """
    if schedule.next_due_s is not None:
        after_s = max(after_s, schedule.next_due_s - 1)
    return list(islice(_firings(schedule.cron, schedule.time_zone, after_s), count))


class ClockTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler publishes no types
    """`next_times` as a trigger of APScheduler.

    Raises CronError for an invalid expression, and ZoneInfo's errors for a time zone that this machine does not have.
    """

    def __init__(self, cron: str, time_zone: str) -> None:
        self._cron, self._time_zone = read_cron(cron), ZoneInfo(time_zone).key
        self._reached: datetime | None = None
        self._firings: Iterator[float] = iter(())

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next firing after the previous one, or after now if there is no previous one."""
        after = previous_fire_time or now
        # APScheduler asks for missed firings one by one: continue from the last answer.
        if after != self._reached:
            self._firings = _firings(self._cron, self._time_zone, after.timestamp())
        at_s = next(self._firings, None)
        self._reached = None if at_s is None else datetime.fromtimestamp(at_s, UTC)
        return self._reached


def _firings(cron: str, time_zone: str, after_s: float) -> Iterator[float]:
    """Yield all firings after `after_s`, each once, in order."""
    zone, every_hour = ZoneInfo(time_zone), not names_hours(cron)
    # The trigger works on wall-clock times, labelled UTC. In a real zone, APScheduler 3.11 handles a clock change
    # differently for each expression: it may fire a repeated time twice, or drop a time that a midnight change skips.
    trigger = CronTrigger(**for_apscheduler(cron), timezone=UTC)
    wall = datetime.fromtimestamp(after_s, zone).replace(tzinfo=UTC) - LONGEST_SHIFT
    waiting: list[float] = []
    while (wall := trigger.get_next_fire_time(None, wall + timedelta(milliseconds=1))) is not None:
        # By PEP 495, fold 0 reads the wall clock as RFC 5545 does. Only a skipped time has its folds in reverse order.
        first, second = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        for at_s in {first} if not every_hour else {first, second} if first <= second else ():
            heapq.heappush(waiting, at_s)
        # A later wall-clock time may be an earlier instant, but by a shift at most.
        while waiting and waiting[0] <= first - LONGEST_SHIFT.total_seconds():
            at_s = heapq.heappop(waiting)
            if at_s > after_s:
                yield at_s
                after_s = at_s
