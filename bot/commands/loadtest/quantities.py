"""Rates, times, objectives and abort conditions of load tests in a command.

The parsers of `/loadtest` use it. A value that cannot be read is replaced by the closest valid one in the suggestion.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from bot.commands.arguments import Arguments, is_number
from bot.commands.line import Word, spell_duration, spell_rate
from workers.contract.formatting import digits, show_duration
from workers.contract.load import SHORTEST_S, Abort, Slo
from workers.contract.settings import SettingsFile
from workers.contract.units import LOWEST_RPS, read_abort, read_duration_s, read_rate_rps, read_rates_rps, read_slo

Value = TypeVar("Value")

EXAMPLE_RATE, EXAMPLE_RATES, EXAMPLE_TIME = "1000rps", "200..2000rps", "5m"
EXAMPLE_ABORT, EXAMPLE_ABORT_TIME = "errors>20%", "10s"
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
        words.append(word)
    for word in words:
        _read(line, word, read_slo, _closest_slo(word.text) or str(default))
    whole = ",".join(word.text for word in words)
    return _read(line, Word(whole, words[-1].at), read_slo) if words else default


def take_abort(line: Arguments) -> tuple[Abort | None, Word | None]:
    """Take the abort condition, or return the default; with the word for its time, if any. Raises UsageError."""
    if line.take_after(("abort",), lambda text: text == "never"):
        return None, None
    word = line.take_after(("abort",), _is_condition) or _take_bare_condition(line)
    if word is None:
        if alone := line.take(lambda text: text == "abort"):
            problem = "Say when to abort, like abort errors>20% for 10s, or abort never."
            raise line.mistake(problem, at=alone.at, instead=f"abort {EXAMPLE_ABORT}")
        return line.settings.loadtest.abort, None
    abort = _read(line, word, read_abort, _closest_abort(word.text))
    time = line.take_behind(word, ("for",), is_number)
    if time is None:
        return abort, None
    for_s = read_time_s(line, time, example=EXAMPLE_ABORT_TIME)
    return Abort(errors_percent=abort.errors_percent, for_s=for_s), time


def read_rate(line: Arguments, word: Word) -> float:
    """Read a rate in requests per second. Raises UsageError."""
    return _read(line, word, read_rate_rps, _closest_rate(word.text))


def read_range(line: Arguments, word: Word) -> tuple[float, float]:
    """Read two rates, the lower one first. Raises UsageError."""
    return _read(line, word, read_rates_rps, _closest_range(word.text))


def read_time_s(line: Arguments, word: Word, *, shortest_s: float = SHORTEST_S, example: str = EXAMPLE_TIME) -> float:
    """Read a duration of at least `shortest_s`. Raises UsageError; it suggests `example` for a word without number."""
    duration_s = _read(line, word, read_duration_s, _closest_time(word.text) or example)
    if duration_s < shortest_s:
        instead = spell_duration(shortest_s)
        raise line.mistake(f"{word.quoted} is too short; write at least {instead}.", at=word.at, instead=instead)
    return duration_s


def must_be_short_enough(line: Arguments, whole_s: float, word: Word | None, *, instead: str) -> None:
    """Raise UsageError if a load of `whole_s` exceeds loadtest.longest; suggest `instead` for `word`."""
    longest_s = line.settings.loadtest.longest_s
    if whole_s > longest_s:
        subject, allowed = word.quoted if word else "That", f"loadtest.longest allows {show_duration(longest_s)} in all"
        problem = f"{subject} makes it a load of {show_duration(whole_s)}; {allowed}."
        raise line.mistake(problem, at=word.at if word else None, instead=instead)


def spell_slo(slo: Slo, settings: SettingsFile) -> str:
    """Return the words for an SLO, or "" for the default of the settings."""
    return "" if slo == settings.loadtest.slo else f"slo {slo}"


def range_below(highest_rps: float) -> str:
    """Return a range of rates that ends at `highest_rps`."""
    lowest_rps = highest_rps / 10
    return f"{digits(lowest_rps)}..{spell_rate(highest_rps)}" if lowest_rps >= LOWEST_RPS else EXAMPLE_RATES


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


def _closest_rate(text: str) -> str:
    """Return a valid rate, or range of rates, made of the numbers in `text`."""
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?k?)[a-z/]*", text.replace(",", ""))
    otherwise = _closest_range(text) if re.search(r"[0-9]-[0-9]", text) else EXAMPLE_RATE
    return _valid(read_rate_rps, f"{found[1]}rps" if found else "", otherwise)


def _closest_range(text: str) -> str:
    rates = sorted(float(number) for number in re.findall(r"[0-9]{1,7}(?:\.[0-9]{1,3})?", text)[:2])
    found = f"{digits(rates[0])}..{spell_rate(rates[-1])}" if rates else ""
    return _valid(read_rates_rps, found, EXAMPLE_RATES)


def _closest_time(text: str) -> str:
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?)([dhms]?)[a-z]*", text.replace(",", ""))
    return _valid(read_duration_s, f"{found[1]}{found[2] or 's'}" if found else "")


def _closest_slo(text: str) -> str:
    found = re.findall(r"p([0-9.]+)[^0-9,]+([0-9.]+)(m?s)?", text)
    latency = [f"p{percentile}<{bound}{unit or 'ms'}" for percentile, bound, unit in found]
    errors = [f"errors<{percent}%" for percent in re.findall(r"errors?[^0-9,]+([0-9.]+)", text)]
    return _valid(read_slo, ",".join((*latency[:1], *errors[:1])))


def _closest_abort(text: str) -> str:
    found = re.search(r"[0-9]{1,2}(?:\.[0-9]{1,3})?", text)
    return _valid(read_abort, f"errors>{found[0]}%" if found else "", EXAMPLE_ABORT)


def _valid(read: Callable[[str], object], text: str, otherwise: str = "") -> str:
    """Return `text` if `read` accepts it, or else `otherwise`."""
    try:
        read(text)
    except ValueError:
        return otherwise
    return text
