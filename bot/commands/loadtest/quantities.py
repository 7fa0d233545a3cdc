"""Rates, times, objectives and abort conditions of load tests in a command.

The parsers of `/loadtest` use it.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from bot.commands.arguments import Arguments, is_number
from bot.commands.line import Word, spell_duration
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


def take_slo(line: Arguments) -> Slo:
    """Take all SLO words, or return the default. Call it after `take_abort`. Raises UsageError."""
    default = line.settings.loadtest.slo
    words: list[Word] = []
    while word := line.take_after(("slo",), _is_objective) or line.take(lambda text: "<" in text or ">" in text):
        _read(line, word, read_slo)
        words.append(word)
    whole = ",".join(word.text for word in words)
    return _read(line, Word(whole, words[-1].at), read_slo) if words else default


def take_abort(line: Arguments) -> tuple[Abort | None, Word | None]:
    """Take the abort condition, or return the default; with the word for its time, if any. Raises UsageError."""
    if line.take_after(("abort",), lambda text: text == "never"):
        return None, None
    word = line.take_after(("abort",), _is_condition) or _take_bare_condition(line)
    if word is None:
        if line.take(lambda text: text == "abort"):
            raise line.not_possible("Say when to abort, like abort errors>20% for 10s, or abort never.")
        return line.settings.loadtest.abort, None
    abort = _read(line, word, read_abort)
    time = line.take_behind(word, ("for",), is_number)
    if time is None:
        return abort, None
    for_s = read_time_s(line, time)
    return Abort(errors_percent=abort.errors_percent, for_s=for_s), time


def read_rate(line: Arguments, word: Word) -> float:
    """Read a rate in requests per second. Raises UsageError, which suggests the unit for a bare number."""
    bare = re.fullmatch(r"[0-9]+(\.[0-9]+)?k?", word.text)
    return _read(line, word, read_rate_rps, f"{word.text}rps" if bare else "")


def read_range(line: Arguments, word: Word) -> tuple[float, float]:
    """Read two rates, the lower one first. Raises UsageError, which suggests the unit for bare numbers."""
    bare = re.fullmatch(r"[0-9.]+k?\.\.[0-9.]+k?", word.text)
    return _read(line, word, read_rates_rps, f"{word.text}rps" if bare else "")


def read_time_s(line: Arguments, word: Word, *, shortest_s: float = SHORTEST_S) -> float:
    """Read a duration of at least `shortest_s`. Raises UsageError."""
    duration_s = _read(line, word, read_duration_s)
    if duration_s < shortest_s:
        raise line.not_possible(f"{word.quoted} is too short; write at least {spell_duration(shortest_s)}.")
    return duration_s


def must_be_short_enough(line: Arguments, whole_s: float, word: Word | None) -> None:
    """Raise UsageError if a load of `whole_s` exceeds loadtest.longest. `word` made it long, if any."""
    longest_s = line.settings.loadtest.longest_s
    if whole_s > longest_s:
        subject, allowed = word.quoted if word else "That", f"loadtest.longest allows {show_duration(longest_s)} in all"
        raise line.not_possible(f"{subject} makes it a load of {show_duration(whole_s)}; {allowed}.")


def spell_slo(slo: Slo, settings: SettingsFile) -> str:
    """Return the words for an SLO, or "" for the default of the settings."""
    return "" if slo == settings.loadtest.slo else f"slo {slo}"


def _take_bare_condition(line: Arguments) -> Word | None:
    # After the word slo it is an objective with the wrong sign.
    return None if line.has("slo") else line.take(lambda text: re.fullmatch(r"errors?>.*", text) is not None)


def _is_condition(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|errors?.*|[0-9].*", word) is not None


def _is_objective(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|p[0-9].*|errors?.*", word) is not None


def _read(line: Arguments, word: Word, read: Callable[[str], Value], instead: str = "") -> Value:
    """Return `read(word.text)`. Raises UsageError, with `instead` in place of the word, if that raises ValueError."""
    try:
        return read(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=instead) from error
