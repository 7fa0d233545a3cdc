"""Schedules: when they are due, each firing once over many bots, missed ones, pause and resume."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from bot.remembered import Schedule
from bot.schedules import GRACE_S, Schedules, next_times
from bot.store import Store
from workers.contract.queue import connect

WEEKDAYS_AT_2 = Schedule(
    id="s1",
    cron="0 2 * * 1-5",
    time_zone="Europe/Berlin",
    command="/loadtest 1000rps for 5m iris on staging",
    channel="C1",
    by="U1",
    by_name="Ada",
    last_due_s=0.0,
)


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """The bot's memory, empty."""
    client = connect(redis_url)
    yield Store(client)
    client.close()


def local(at_s: float, zone: str = "Europe/Berlin") -> datetime:
    """A time as people there read it."""
    return datetime.fromtimestamp(at_s, ZoneInfo(zone))


def unix(*parts: int) -> float:
    """Unix seconds of a UTC date."""
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc]  # parts are a date's


class Clock(Schedules):
    """A bot's schedules, which write down what they fire and what they report as missed."""

    def __init__(self, store: Store, fired: list[float], missed: list[float] | None = None) -> None:
        super().__init__(store=store)
        self._fired = fired
        self._late: list[float] = [] if missed is None else missed

    def look(self) -> None:
        """One round."""
        self.tick(fire=lambda _, due_s: self._fired.append(due_s), missed=lambda _, due_s: self._late.append(due_s))


def added(store: Store, last_due_s: float) -> Schedule:
    """A schedule of every minute, seen to until `last_due_s`."""
    schedule = replace(WEEKDAYS_AT_2, cron="* * * * *", last_due_s=last_due_s)
    store.keep_schedule(schedule)
    return schedule


def test_weekdays_are_counted_as_cron_counts_them() -> None:
    """1-5 is Monday to Friday: a week's firings are on those days, at two by the clock of the zone."""
    times = [local(at_s) for at_s in next_times(WEEKDAYS_AT_2, after_s=unix(2026, 11, 21, 12), count=6)]
    assert [time.isoweekday() for time in times] == [1, 2, 3, 4, 5, 1]
    assert {(time.hour, time.minute) for time in times} == {(2, 0)}


def test_firings_follow_the_clock_over_both_changes_of_the_year() -> None:
    """Three at night in Berlin stays three at night, though a day then has 23 or 25 hours."""
    at_three = replace(WEEKDAYS_AT_2, cron="0 3 * * *")
    for change in ((2026, 3, 27, 12), (2026, 10, 23, 12)):
        times = next_times(at_three, after_s=unix(*change), count=5)
        assert {local(at_s).hour for at_s in times} == {3}
        assert {round((b - a) / 3600) for a, b in pairwise(times)} & {23, 25}


def test_a_time_that_is_seen_to_is_not_next_again() -> None:
    """After a firing, the next one is later."""
    first, second = next_times(WEEKDAYS_AT_2, after_s=unix(2026, 11, 21, 12), count=2)
    assert next_times(WEEKDAYS_AT_2, after_s=first, count=1) == [second]


def test_a_firing_that_is_due_is_fired_once(store: Store) -> None:
    """A second look finds nothing."""
    due_s = time.time() // 60 * 60
    added(store, due_s - 60)
    fired: list[float] = []
    schedules = Clock(store, fired)
    schedules.look()
    schedules.look()
    assert fired == [due_s]


def test_many_bots_fire_once(store: Store) -> None:
    """However many look at the same instant."""
    due_s = time.time() // 60 * 60
    added(store, due_s - 60)
    fired: list[float] = []
    bots = [threading.Thread(target=Clock(store, fired).look) for _ in range(8)]
    for bot in bots:
        bot.start()
    for bot in bots:
        bot.join()
    Clock(store, fired).look()
    assert set(fired) == {due_s}
    assert len(fired) == 1


def test_a_firing_missed_for_longer_than_its_grace_is_reported(store: Store) -> None:
    """What was due an hour ago is not run now; it is told."""
    due_s = (time.time() - GRACE_S) // 60 * 60 - 60
    added(store, due_s - 60)
    fired: list[float] = []
    missed: list[float] = []
    Clock(store, fired, missed).look()
    assert (fired, missed) == ([], [due_s])


@pytest.mark.parametrize("silence", [lambda clock, one: clock.pause(one), lambda clock, one: clock.resume(one)])
def test_a_paused_schedule_does_not_fire_and_resuming_makes_up_for_nothing(
    store: Store, silence: Callable[[Schedules, Schedule], None]
) -> None:
    """While it is paused, and for what was due before it was resumed."""
    schedule = added(store, time.time() - 130)
    fired: list[float] = []
    schedules = Clock(store, fired)
    silence(schedules, schedule)
    schedules.look()
    assert fired == []


def test_a_schedule_survives_a_restart(store: Store) -> None:
    """What is kept is what was added."""
    schedules = Clock(store, [])
    kept = schedules.add(
        cron="0 2 * * 1-5", time_zone="UTC", command="/model train iris", channel="C1", by="U1", by_name="Ada"
    )
    assert store.schedules() == [kept]
    assert store.schedule(kept.id) == kept
    assert store.forget_schedule(kept.id)
    assert store.schedules() == []
