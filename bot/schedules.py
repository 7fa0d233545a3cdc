"""Commands on a clock: every bot looks at every schedule, and each firing is one job.

A firing asks under an id made of the schedule and the time it was due, so that it is one request, however many bots
make it. What is due is worked out from the time last seen to, kept with the schedule: a restart forgets nothing.
APScheduler gives the times (cron, time zones, daylight saving); its own job stores are not used, because they pickle.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from bot.commands.cron import for_apscheduler
from bot.remembered import Schedule
from bot.store import Store

logger = logging.getLogger(__name__)

Firing = Callable[[Schedule, float], None]
"""What is done about a schedule that was due at a time, in Unix seconds."""
GRACE_S = 300.0
"""A firing that was missed while no bot ran is made up for within this time, and reported as missed after it."""


def next_times(schedule: Schedule, *, after_s: float, count: int = 3) -> list[float]:
    """The next `count` firings after `after_s`, in Unix seconds; fewer where there are no more."""
    trigger = CronTrigger(**for_apscheduler(schedule.cron), timezone=ZoneInfo(schedule.time_zone))
    times: list[float] = []
    before = datetime.fromtimestamp(after_s, UTC)
    while len(times) < count:
        # The trigger answers with a time at or after `now`; a moment later excludes `before` itself.
        found = trigger.get_next_fire_time(None, datetime.fromtimestamp(before.timestamp() + 0.001, UTC))
        if found is None:
            break
        times.append(found.timestamp())
        before = found.astimezone(UTC)
    return times


class Schedules:
    """The schedules that are kept, and what of them is due."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    def add(self, *, cron: str, time_zone: str, command: str, channel: str, by: str, by_name: str) -> Schedule:
        """Remember a new schedule; its first firing is the next one that is due."""
        schedule = Schedule(
            id=self._store.new_schedule_id(),
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

    def tick(self, *, fire: Firing, missed: Firing) -> None:
        """See to what is due: `fire` asks for the job, `missed` tells that it was due too long ago."""
        now = time.time()
        for schedule in self._store.schedules():
            if not schedule.paused:
                self._see_to(schedule, now, fire=fire, missed=missed)

    def pause(self, schedule: Schedule) -> None:
        """Fire no more until it is resumed."""
        self._store.keep_schedule(replace(schedule, paused=True))

    def resume(self, schedule: Schedule) -> None:
        """Fire again, from the next time on: what was due in between is not made up for."""
        self._store.keep_schedule(replace(schedule, paused=False, last_due_s=time.time()))

    def _see_to(self, schedule: Schedule, now: float, *, fire: Firing, missed: Firing) -> None:
        """Make up for the newest firing that is due, and report the ones before it, or it, as missed."""
        due: Sequence[float] = [
            at_s for at_s in next_times(schedule, after_s=schedule.last_due_s, count=1) if at_s <= now
        ]
        if not due:
            return
        with self._store.locked(f"schedule:{schedule.id}") as ours:
            current = self._store.schedule(schedule.id) if ours else None
            if current is None or current.last_due_s >= due[0] or current.paused:
                return
            if now - due[0] <= GRACE_S:
                fire(schedule, due[0])
            else:
                missed(schedule, due[0])
            logger.info("schedule %s was due at %s", schedule.id, datetime.fromtimestamp(due[0], UTC))
            self._store.keep_schedule(replace(current, last_due_s=due[0]))
