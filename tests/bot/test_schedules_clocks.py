"""Firing times by the clock of the time zone, across clock changes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from bot.schedules.clock import next_times
from bot.state import Schedule

MINUTE = timedelta(minutes=1)
# Clock changes forward and back, north and south, by half an hour to two hours, at midnight and across it.
CHANGES = (
    ("Europe/Berlin", datetime(2026, 3, 29)),
    ("Europe/Berlin", datetime(2026, 10, 25)),
    ("America/New_York", datetime(2026, 3, 8)),
    ("America/New_York", datetime(2026, 11, 1)),
    ("Australia/Sydney", datetime(2026, 4, 5)),
    ("Australia/Sydney", datetime(2026, 10, 4)),
    ("Australia/Lord_Howe", datetime(2026, 4, 5)),
    ("Australia/Lord_Howe", datetime(2026, 10, 4)),
    ("America/Havana", datetime(2026, 3, 8)),
    ("America/Nuuk", datetime(2026, 3, 28)),
    ("America/Scoresbysund", datetime(2026, 3, 28)),
    ("Antarctica/Troll", datetime(2026, 3, 29)),
    ("Antarctica/Troll", datetime(2026, 10, 25)),
)


def due(cron: str, zone: str, after: datetime, count: int) -> list[str]:
    """Return the next firings by the zone's clock. `after` is a time by that clock, too."""
    after_s = after.replace(tzinfo=ZoneInfo(zone)).timestamp()
    schedule = Schedule(
        id="s1", cron=cron, time_zone=zone, command="", channel="C1", by="U1", by_name="Ada", next_due_s=None
    )
    times = next_times(schedule, after_s=after_s, count=count)
    return [datetime.fromtimestamp(at_s, ZoneInfo(zone)).strftime("%a %d %H:%M %z") for at_s in times]


def test_weekdays_1_to_5_are_monday_to_friday() -> None:
    times = due("0 2 * * 1-5", "Europe/Berlin", datetime(2026, 11, 21, 12), 6)
    assert [time.split()[0] for time in times] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]
    assert {time.split()[2] for time in times} == {"02:00"}


@pytest.mark.parametrize(
    ("cron", "zone", "after", "times"),
    [
        # From 2 to 3, and from 3 back to 2.
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12), ["Sun 29 03:30 +0200", "Mon 30 02:30 +0200"]),
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12), ["Sun 25 02:30 +0200", "Mon 26 02:30 +0100"]),
        ("30 2 * * *", "America/New_York", datetime(2026, 3, 7, 12), ["Sun 08 03:30 -0400", "Mon 09 02:30 -0400"]),
        ("30 1 * * *", "America/New_York", datetime(2026, 10, 31, 12), ["Sun 01 01:30 -0400", "Mon 02 01:30 -0500"]),
        ("30 2 * * *", "Australia/Sydney", datetime(2026, 10, 3, 12), ["Sun 04 03:30 +1100", "Mon 05 02:30 +1100"]),
        ("30 2 * * *", "Australia/Sydney", datetime(2026, 4, 4, 12), ["Sun 05 02:30 +1100", "Mon 06 02:30 +1000"]),
        # Half an hour: from 2 to 2:30, and from 2 back to 1:30.
        ("15 2 * * *", "Australia/Lord_Howe", datetime(2026, 10, 3, 12), ["Sun 04 02:45 +1100", "Mon 05 02:15 +1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", datetime(2026, 4, 4, 12), ["Sun 05 01:45 +1100", "Mon 06 01:45 +1030"]),
        # A skipped midnight, and two times that become the same one.
        ("0 0 * * *", "Asia/Beirut", datetime(2026, 3, 28, 12), ["Sun 29 01:00 +0300", "Mon 30 00:00 +0300"]),
        ("0 2,3 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12), ["Sun 29 03:00 +0200", "Mon 30 02:00 +0200"]),
        # A skipped time that comes after a later one.
        ("15,30 2 * * *", "Australia/Lord_Howe", datetime(2026, 10, 4), ["Sun 04 02:30 +1100", "Sun 04 02:45 +1100"]),
        # An expression for every hour.
        ("30 * * * *", "Europe/Berlin", datetime(2026, 3, 29, 1), ["Sun 29 01:30 +0100", "Sun 29 03:30 +0200"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            datetime(2026, 10, 25, 2),
            ["Sun 25 02:30 +0200", "Sun 25 02:30 +0100", "Sun 25 03:30 +0100"],
        ),
    ],
)
def test_night_with_a_clock_change_has_each_firing_once(
    cron: str, zone: str, after: datetime, times: list[str]
) -> None:
    """A skipped time is due later, a repeated time at its first occurrence."""
    assert due(cron, zone, after, len(times)) == times


@cache
def clock_around(zone: str, midnight: datetime) -> Mapping[datetime, list[float]]:
    """Return the instants of every minute that the zone's clock shows around a night."""
    found: dict[datetime, list[float]] = {}
    start = midnight.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(days=1)
    for minute in range(3 * 24 * 60):
        at = start + minute * MINUTE
        found.setdefault(at.astimezone(ZoneInfo(zone)).replace(tzinfo=None), []).append(at.timestamp())
    return found


def expected(zone: str, midnight: datetime, minutes: set[int], hours: set[int]) -> list[float]:
    """Return all firings around a night, from a search through every minute."""
    clock = clock_around(zone, midnight)
    wall, last, found = min(clock), max(clock), set()
    while wall < last:
        if wall.minute in minutes and wall.hour in hours:
            if len(hours) == 24:
                found.update(clock.get(wall, ()))
            elif wall in clock:
                found.add(clock[wall][0])
            else:
                before = max(earlier for earlier in clock if earlier < wall)
                found.add(clock[before][-1] + (wall - before).total_seconds())
        wall += MINUTE
    return sorted(found)


@settings(max_examples=60)
@given(
    change=st.sampled_from(CHANGES),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.one_of(st.just(set(range(24))), st.sets(st.sampled_from([0, 1, 2, 3, 4, 22, 23]), min_size=1, max_size=4)),
)
def test_firings_around_a_clock_change_equal_a_search_through_every_minute(
    change: tuple[str, datetime], minutes: set[int], hours: set[int]
) -> None:
    zone, midnight = change
    firings = expected(zone, midnight, minutes, hours)
    after_s = firings[0] - 1
    cron = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))} * * *"
    schedule = Schedule(
        id="s1", cron=cron, time_zone=zone, command="", channel="C1", by="U1", by_name="Ada", next_due_s=None
    )
    found = next_times(schedule, after_s=after_s, count=len(firings))
    assert found == firings
    # A bot asks for one firing at a time.
    for before_s, at_s in list(pairwise(found))[::5]:
        assert next_times(schedule, after_s=before_s, count=1) == [at_s]
