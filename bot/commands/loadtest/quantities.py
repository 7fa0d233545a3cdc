"""Rates, times, objectives and abort conditions of load tests in a command.

The parsers of `/loadtest` use it. Valid replacements for mistakes are in `corrections`.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from bot.commands.arguments import is_number
from bot.commands.command import Lookup
from bot.commands.corrections import (
    EXAMPLE_ABORT,
    EXAMPLE_ABORT_TIME,
    EXAMPLE_TIME,
    closest_abort,
    closest_range,
    closest_rate,
    closest_slo,
    closest_time,
)
from bot.commands.line import Line, Word, spell_duration
from workers.contract.formatting import show_duration
from workers.contract.load import SHORTEST_S, Abort, Slo
from workers.contract.settings import SettingsFile
from workers.contract.units import read_abort, read_duration_s, read_rate_rps, read_rates_rps, read_slo

Value = TypeVar("Value")

_RATE_LIKE = re.compile(r".*(rps|qps|req/s|/s|/m|/min)", re.ASCII)
_TIME_LIKE = re.compile(r"[0-9][0-9.]*(ms|d|h|m|s)[a-z0-9.]*", re.ASCII)


def is_rate(word: str) -> bool:
    """Return whether `word` looks like a rate."""
    return is_number(word) and _RATE_LIKE.fullmatch(word) is not None


def is_range(word: str) -> bool:
    """Return whether `word` looks like a range of rates."""
    return is_number(word) and ".." in word


def is_time(word: str) -> bool:
    """Return whether `word` looks like a duration."""
    return _TIME_LIKE.fullmatch(word) is not None and not is_rate(word)


def take_slo(line: Line, lookup: Lookup) -> Slo:
    """Take all SLO words, or return the default. Call it after `take_abort`. Raises UsageError."""
    words: list[Word] = []
    while word := line.take_after(("slo",), _is_objective) or line.take(lambda text: "<" in text or ">" in text):
        words.append(word)
    for word in words:
        _read(line, word, read_slo, closest_slo(word.text) or str(lookup.settings.loadtest.slo))
    whole = ",".join(word.text for word in words)
    return _read(line, Word(whole, words[-1].at), read_slo) if words else lookup.settings.loadtest.slo


def take_abort(line: Line, lookup: Lookup) -> tuple[Abort | None, Word | None]:
    """Take the abort condition, or return the default; with the word for its time, if any. Raises UsageError."""
    if line.take_after(("abort",), lambda text: text == "never"):
        return None, None
    word = line.take_after(("abort",), _is_condition) or _take_bare_condition(line)
    if word is None:
        if alone := line.take(lambda text: text == "abort"):
            problem = "Say when to abort, like abort errors>20% for 10s, or abort never."
            raise line.mistake(problem, at=alone.at, instead=f"abort {EXAMPLE_ABORT}")
        return lookup.settings.loadtest.abort, None
    abort = _read(line, word, read_abort, closest_abort(word.text))
    time = line.take_behind(word, ("for",), is_number)
    if time is None:
        return abort, None
    for_s = read_time_s(line, time, example=EXAMPLE_ABORT_TIME)
    return Abort(errors_percent=abort.errors_percent, for_s=for_s), time


def read_rate(line: Line, word: Word) -> float:
    """Read a rate in requests per second. Raises UsageError."""
    return _read(line, word, read_rate_rps, closest_rate(word.text))


def read_range(line: Line, word: Word) -> tuple[float, float]:
    """Read two rates, the lower one first. Raises UsageError."""
    return _read(line, word, read_rates_rps, closest_range(word.text))


def read_time_s(line: Line, word: Word, *, shortest_s: float = SHORTEST_S, example: str = EXAMPLE_TIME) -> float:
    """Read a duration of at least `shortest_s`. Raises UsageError; it suggests `example` for a word without number."""
    duration_s = _read(line, word, read_duration_s, closest_time(word.text) or example)
    if duration_s < shortest_s:
        instead = spell_duration(shortest_s)
        raise line.mistake(f"{word.quoted} is too short; write at least {instead}.", at=word.at, instead=instead)
    return duration_s


def must_be_short_enough(line: Line, lookup: Lookup, whole_s: float, word: Word | None, *, instead: str) -> None:
    """Raise UsageError if a load of `whole_s` exceeds loadtest.longest; suggest `instead` for `word`."""
    longest_s = lookup.settings.loadtest.longest_s
    if whole_s <= longest_s:
        return
    said = word.quoted if word else "That"
    allowed = f"loadtest.longest allows {show_duration(longest_s)} in all"
    problem = f"{said} makes it a load of {show_duration(whole_s)}; {allowed}."
    raise line.mistake(problem, at=word.at if word else None, instead=instead)


def spell_slo(slo: Slo, settings: SettingsFile) -> str:
    """Return the words for an SLO, or "" for the default of the settings."""
    return "" if slo == settings.loadtest.slo else f"slo {slo}"


def _take_bare_condition(line: Line) -> Word | None:
    # After the word slo it is an objective with the wrong sign.
    return None if line.has("slo") else line.take(lambda text: re.fullmatch(r"errors?>.*", text) is not None)


def _is_condition(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|errors?.*|[0-9].*", word) is not None


def _is_objective(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|p[0-9].*|errors?.*", word) is not None


def _read(line: Line, word: Word, read: Callable[[str], Value], instead: str = "") -> Value:
    """Return `read(word.text)`. Raises UsageError, with `instead` in place of the word, if that raises ValueError."""
    try:
        return read(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=instead) from error
