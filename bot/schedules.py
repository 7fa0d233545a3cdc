"""Commands on a clock: every bot looks at every schedule, and each firing is one job.

A firing asks under an id made of the schedule and the time it was due, so that it is one request, however many bots
make it and wherever one of them dies: the queue gives one request one job. What is due is worked out from the time that
was last seen to, kept with the schedule: a restart forgets nothing.

APScheduler reads the cron expressions. Its scheduler and its Redis job store are not used: a store must not be shared
between schedulers (APScheduler 3's user guide, "Basic concepts"), so that one bot alone could fire; a firing counts as
done when a thread has been given it, so that a bot that is killed then loses it; and the store keeps pickles, so that
whoever writes to Redis would run code in the bot.
"""

import heapq
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from bot.commands.cron import for_apscheduler, names_hours
from bot.remembered import Schedule
from bot.store import Store

logger = logging.getLogger(__name__)

Fire = Callable[[Schedule, float], None]
"""Asks for the job of a schedule that was due at a time, in Unix seconds."""
Report = Callable[[Schedule, Sequence[float]], None]
"""Tells of firings that were missed, oldest first."""
GRACE_S = 300.0
"""A firing that was missed while no bot ran is made up for within this time, and reported as missed after it."""
MOST_MISSED = 10_000
"""Firings that are reported in one go: a week's, of a schedule that fires every minute."""
LONGEST_SHIFT = timedelta(hours=2)
"""No zone puts its clocks ahead or back by more at once; Antarctica/Troll does so by this."""


def next_times(schedule: Schedule, *, after_s: float, count: int = 3) -> list[float]:
    """The next `count` firings after `after_s`, in Unix seconds; fewer where there are no more.

    On the two nights a year on which clocks change, an expression that names hours goes by RFC 5545, 3.3.5: a time that
    is skipped is due as much later (02:30 at 03:30), and one that comes twice is due the first time only. One that is
    about every hour goes on evenly: there is nothing to make up for, and the hour that comes twice is two hours.
    """
    return list(islice(_firings(schedule.cron, schedule.time_zone, after_s), count))


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


@lru_cache(maxsize=4096)
def _next_firing(cron: str, time_zone: str, after_s: float) -> float | None:
    return next(_firings(cron, time_zone, after_s), None)


class Schedules:
    """The schedules that are kept, and what of them is due. Raises QueueUnavailable while Redis is away."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    def add(
        self, *, cron: str, time_zone: str, command: str, channel: str, by: str, by_name: str, key: str
    ) -> Schedule:
        """Remember a new schedule, once for each request `key`; its first firing is the next one that is due."""
        schedule_id = self._store.first(f"add:{key}", self._store.new_schedule_id())
        known = self._store.schedule(schedule_id)
        if known is not None:
            return known
        schedule = Schedule(
            id=schedule_id,
            cron=cron,
            time_zone=time_zone,
            command=command,
            channel=channel,
            by=by,
            by_name=by_name,
            last_due_s=time.time(),
        )
        self._store.keep_schedule(schedule)
        return schedule

    def active(self) -> list[Schedule]:
        """The schedules that are not paused, oldest first."""
        return [schedule for schedule in self._store.schedules() if not schedule.paused]

    def see_to(self, schedule: Schedule, *, fire: Fire, missed: Report) -> None:
        """Fire the newest of what is due, or report it where it is too late for that, and report all before it.

        What was fired or reported is noted afterwards: where `fire` or `missed` raises, or this process dies, a later
        call does it again. Two bots never do it at the same time.
        """
        now = time.time()
        due_s = _next_firing(schedule.cron, schedule.time_zone, schedule.last_due_s)
        if due_s is None or due_s > now:
            return
        with self._store.locked(f"schedule:{schedule.id}") as ours:
            current = self._store.schedule(schedule.id) if ours else None
            if current is None or current.paused:
                return
            firings = _firings(current.cron, current.time_zone, current.last_due_s)
            due = list(takewhile(lambda at_s: at_s <= now, islice(firings, MOST_MISSED)))
            in_time = [at_s for at_s in due[-1:] if now - at_s <= GRACE_S]
            late = due[: len(due) - len(in_time)]
            if late:
                logger.warning("schedule %s was due %d times and missed", schedule.id, len(late))
                missed(current, late)
                self._store.note_due(schedule.id, late[-1])
            for at_s in in_time:
                logger.info("schedule %s is due at %s", schedule.id, datetime.fromtimestamp(at_s, UTC))
                fire(current, at_s)
                self._store.note_due(schedule.id, at_s)

    def pause(self, schedule: Schedule) -> None:
        """Fire no more until it is resumed."""
        self._store.pause_schedule(schedule.id)

    def resume(self, schedule: Schedule) -> None:
        """Fire again, from the next time on: what was due in between is not made up for."""
        self._store.resume_schedule(schedule.id, time.time())
