"""Cron expressions: valid and invalid ones, and their firings by APScheduler compared with cron."""

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings, strategies as st

from bot.commands.cron import CronError, for_apscheduler, looks_like_field, read_cron

START = datetime(2027, 1, 1, tzinfo=UTC)  # a Friday


def firings(cron: str, count: int) -> list[datetime]:
    """Return the first firings of APScheduler from START on."""
    trigger = CronTrigger(**for_apscheduler(cron), timezone=UTC)
    found: list[datetime] = []
    while len(found) < count:
        after = found[-1] + timedelta(seconds=1) if found else START
        at = trigger.get_next_fire_time(None, after)
        assert at is not None
        found.append(at)
    return found


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 2 * * 1-5", "0 2 * * 1-5"),
        ("  */15   0-6/2 1,15 JAN-mar *  ", "*/15 0-6/2 1,15 jan-mar *"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 30 2,4 *", "0 0 30 2,4 *"),
        ("59 23 * 12 fri-sun", "59 23 * 12 fri-sun"),
        ("0 0 */2 * mon", "0 0 */2 * mon"),
    ],
)
def test_five_fields_are_read_in_any_case_and_with_any_spaces(text: str, cron: str) -> None:
    assert read_cron(text) == cron


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("0 2 * * Sunday", "0 2 * * sun"),
        ("0 2 * September Monday-Thursday", "0 2 * sep mon-thu"),
    ],
)
def test_macros_and_long_names_stand_for_their_fields(text: str, cron: str) -> None:
    assert read_cron(text) == cron


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 0 2 * *", "five fields"),
        ("@sometimes", "@sometimes"),
        ("60 2 * * *", "60"),
        ("0 24 * * *", "24"),
        ("0 2 0 * *", "“0”"),
        ("0 2 * 13 *", "13"),
        ("0 2 * * 8", "8"),
        ("0 2 * * fry", "fry"),
        ("0 2 * mon *", "mon"),
        ("*/0 2 * * *", "*/0"),
        ("*/90 2 * * *", "*/90"),
        ("5/15 2 * * *", "5/15"),
        ("0 20-4 * * *", "20-4"),
        ("0 2 * * fri-mon", "fri-mon"),
        ("0, 2 * * *", "0,"),
        ("٣ 2 * * *", "٣"),
        ("-5 2 * * *", "-5"),
        ("0 0 31 2 *", "31"),
        ("0 0 30 feb *", "30"),
        ("0 0 31 4,6,9,11 *", "31"),
        ("0 0 13 * 5", "weekday"),
    ],
)
def test_wrong_field_is_named(text: str, problem: str) -> None:
    with pytest.raises(CronError) as caught:
        read_cron(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [
        ("0", "sun"),
        ("7", "sun"),
        ("sun", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("0-2", "sun,mon,tue"),
        ("5-7", "sun,fri,sat"),
        ("sat-sun", "sun,sat"),
        ("*/2", "sun,tue,thu,sat"),
        ("1-5/2", "mon,wed,fri"),
        ("*", "*"),
    ],
)
def test_weekdays_are_translated_to_names(field: str, weekdays: str) -> None:
    """Cron counts weekdays from Sunday, APScheduler from Monday."""
    assert for_apscheduler(f"0 2 * * {field}")["day_of_week"] == weekdays


def test_weekday_numbers_fire_on_the_days_of_cron() -> None:
    assert [at.strftime("%a") for at in firings("0 2 * * 1-5", 6)] == ["Fri", "Mon", "Tue", "Wed", "Thu", "Fri"]
    assert {at.strftime("%a") for cron in ("0 2 * * 0", "0 2 * * 7") for at in firings(cron, 3)} == {"Sun"}


def test_29_february_fires_in_leap_years() -> None:
    assert [at.date().isoformat() for at in firings("0 0 29 2 *", 2)] == ["2028-02-29", "2032-02-29"]


@st.composite
def fields(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...] = ()) -> tuple[str, set[int]]:
    """A field, and the values that it allows by crontab(5)."""

    def item() -> tuple[str, set[int]]:
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        step = draw(st.integers(1, max(last - first, 1)))
        match draw(st.sampled_from(["one", "name", "range", "steps", "all steps"])):
            case "range":
                return f"{first}-{last}", set(range(first, last + 1))
            case "steps":
                return f"{first}-{last}/{step}", set(range(first, last + 1, step))
            case "all steps":
                step = draw(st.integers(1, high - low))
                return f"*/{step}", set(range(low, high + 1, step))
            case "name" if names:
                return names[first - low], {first}
        return str(first), {first}

    items = [item() for _ in range(draw(st.integers(1, 3)))]
    return ",".join(text for text, _ in items), set().union(*(values for _, values in items))


WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@settings(max_examples=80)
@given(minute=fields(0, 59), hour=fields(0, 23), month=fields(1, 12, MONTHS), weekday=fields(0, 6, WEEKDAYS))
def test_apscheduler_fires_at_the_next_minutes_that_all_fields_allow(
    minute: tuple[str, set[int]], hour: tuple[str, set[int]], month: tuple[str, set[int]], weekday: tuple[str, set[int]]
) -> None:
    cron = read_cron(f"{minute[0]} {hour[0]} * {month[0]} {weekday[0]}")
    days = (START + timedelta(days=day) for day in range(800))
    allowed = (day for day in days if day.month in month[1] and (day.isoweekday() % 7) in weekday[1])
    expected = [
        day + timedelta(hours=an_hour, minutes=a_minute)
        for day, _ in zip(allowed, range(3), strict=False)
        for an_hour in sorted(hour[1])
        for a_minute in sorted(minute[1])
    ]
    assert firings(cron, 3) == expected[:3]


@settings(max_examples=100)
@given(text=st.one_of(st.text(max_size=40), st.lists(st.text("0123456789*/,-sunfeb", max_size=5)).map(" ".join)))
def test_any_text_is_valid_for_apscheduler_or_a_cron_error(text: str) -> None:
    try:
        cron = read_cron(text)
    except CronError:
        return
    assert CronTrigger(**for_apscheduler(cron), timezone=UTC).get_next_fire_time(None, START)


@pytest.mark.parametrize(
    ("word", "is_field"),
    [("*", True), ("*/5", True), ("1-5", True), ("mon-fri", True), ("JAN", True), ("utc", False), ("model", False)],
)
def test_fields_without_quotes_are_recognised(word: str, is_field: bool) -> None:
    """The expression ends at the first word that is no field."""
    assert looks_like_field(word) is is_field
