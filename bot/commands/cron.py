"""Cron expressions of five fields, as in crontab(5), and their translation for APScheduler. Pure.

Two features of crontab(5) are refused: a day of the month together with a weekday (cron fires on either, most people
mean both), and dates that no year has.
"""

import re
from dataclasses import dataclass

from workers.contract.units import quoted

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG_NAMES = re.compile(
    r"\b(?:sunday|monday|tues(?:day)?|wednesday|thurs?(?:day)?|friday|saturday|january|february|march|april|june|july|august|"
    r"sept(?:ember)?|october|november|december)\b"
)
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>[0-9a-z]+)(?:-(?P<last>[0-9a-z]+))?)(?:/(?P<step>[0-9]{1,2}))?")


class CronError(ValueError):
    """An invalid cron expression. The message names the wrong field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    """One of the five fields: its bounds and its names."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field(name="minute", low=0, high=59),
    _Field(name="hour", low=0, high=23),
    _Field(name="day of the month", low=1, high=31),
    _Field(name="month", low=1, high=12, names=_MONTHS),
    _Field(name="weekday", low=0, high=7, names=_WEEKDAYS),
)


def read_cron(text: str) -> str:
    """Return the five fields of `text`, in lower case with one space between them. Raises CronError.

    A macro such as @daily stands for its fields, and the name of a day or month for its first three letters.
    """
    fields = _MACROS.get(text.strip().lower(), text.lower()).split()
    fields = [_LONG_NAMES.sub(lambda name: name[0][:3], field) for field in fields]
    if len(fields) != len(_FIELDS):
        raise CronError(
            f"{quoted(text)} is not a cron expression, which has five fields: "
            "minute, hour, day of the month, month, weekday."
        )
    _check_days(fields, [_values(fields, position) for position in range(len(_FIELDS))])
    return " ".join(fields)


def for_apscheduler(cron: str) -> dict[str, str]:
    """Return the arguments of APScheduler's CronTrigger for the result of `read_cron`.

    Weekdays become names, because CronTrigger counts them from Monday = 0 and cron from Sunday = 0. Ranges of weekdays
    become lists, because a range of CronTrigger cannot begin on a Sunday. https://apscheduler.readthedocs.io/en/3.x/modules/triggers/cron.html
    """
    fields = cron.split()
    minute, hour, day, month, _ = (
        field if field == "*" else ",".join(map(str, sorted(_values(fields, position))))
        for position, field in enumerate(fields)
    )
    weekdays = {value % 7 for value in _values(fields, 4)}
    named = "*" if fields[4] == "*" else ",".join(_WEEKDAYS[value] for value in sorted(weekdays))
    return {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": named}


def names_hours(cron: str) -> bool:
    """Return whether the result of `read_cron` is restricted to some hours of the day."""
    return len(_values(cron.split(), 1)) < 24


def looks_like_field(word: str) -> bool:
    """Return whether `word` may be a field of a cron expression without quotes."""
    names = re.split(r"[-,/]", _LONG_NAMES.sub(lambda name: name[0][:3], word.lower()))
    return re.fullmatch(r"[0-9*][0-9*/,a-z-]*", word.lower()) is not None or all(
        name in _WEEKDAYS + _MONTHS for name in names
    )


def _values(fields: list[str], position: int) -> set[int]:
    """Return the values that a field allows. Sunday is 0 or 7."""
    field = _FIELDS[position]
    values: set[int] = set()
    for item in fields[position].split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _wrong(fields, position, f"is not understood as {field.name}")
        if match["all"]:
            first, last = field.low, 6 if field.names == _WEEKDAYS else field.high
        else:
            first = _value(fields, position, match["first"])
            last = _value(fields, position, match["last"]) if match["last"] else first
            if match["last"] == "sun" and first > 0:
                last = 7  # At the end of a range, Sunday is the last day of the week.
            if match["step"] and not match["last"]:
                raise _wrong(fields, position, "has a step without a range")
        step = int(match["step"] or 1)
        if first > last:
            raise _wrong(fields, position, f"is a range of {field.name}s that runs backwards")
        if not 1 <= step <= max(last - first, 1):
            raise _wrong(fields, position, "has a step that does not fit in its range")
        values.update(range(first, last + 1, step))
    return values


def _value(fields: list[str], position: int, text: str) -> int:
    field = _FIELDS[position]
    if text in field.names:
        return field.names.index(text) + field.low
    if not re.fullmatch(r"[0-9]{1,2}", text) or not field.low <= int(text) <= field.high:
        raise _wrong(fields, position, f"is out of range; the {field.name} is {field.low} to {field.high}")
    return int(text)


def _wrong(fields: list[str], position: int, what: str) -> CronError:
    return CronError(f"{quoted(fields[position])} {what}.")


def _check_days(fields: list[str], values: list[set[int]]) -> None:
    days, months = values[2], values[3]
    if not fields[2].startswith("*") and not fields[4].startswith("*"):
        raise CronError(
            "A day of the month together with a weekday is ambiguous. Give one of them, or add two schedules."
        )
    longest = max(_LONGEST_MONTH[month - 1] for month in months)
    if min(days) > longest:
        raise CronError(f"No year has such a date: day {min(days)} of month {quoted(fields[3])}.")
