"""Rates, times, objectives and what ends a load test, in a line of words: taken, read, or corrected."""

import re
from collections.abc import Callable
from typing import TypeVar

from bot.commands.arguments import is_number
from bot.commands.command import Lookup
from bot.commands.line import Line, Word
from bot.commands.spelling import spell_duration, spell_rate
from workers.contract.formatting import digits, show_duration, show_number
from workers.contract.load import SHORTEST_S, Abort, Slo
from workers.contract.settings import Environment, LoadTarget
from workers.contract.units import (
    LOWEST_RPS,
    quoted,
    read_abort,
    read_duration_s,
    read_rate_rps,
    read_rates_rps,
    read_slo,
)

Value = TypeVar("Value")

GOOD_RATE, GOOD_RATES, GOOD_TIME = "1000rps", "200..2000rps", "5m"
GOOD_ABORT, GOOD_PATIENCE = "errors>20%", "10s"
_RATE_LIKE = re.compile(r".*(rps|qps|req/s|/s|/m|/min)", re.ASCII)
_TIME_LIKE = re.compile(r"[0-9][0-9.]*(ms|d|h|m|s)[a-z0-9.]*", re.ASCII)


def is_rate(word: str) -> bool:
    """Whether `word` is written like a rate."""
    return is_number(word) and _RATE_LIKE.fullmatch(word) is not None


def is_range(word: str) -> bool:
    """Whether `word` is written like two rates."""
    return is_number(word) and ".." in word


def is_time(word: str) -> bool:
    """Whether `word` is written like a time."""
    return _TIME_LIKE.fullmatch(word) is not None and not is_rate(word)


def take_slo(line: Line, lookup: Lookup) -> Slo:
    """The objectives that are named, all of them, or else the settings'. Take what ends the test before."""
    words: list[Word] = []
    while word := line.take_after(("slo",), _is_objective) or line.take(lambda text: "<" in text or ">" in text):
        words.append(word)
    for word in words:
        instead = _possible_slo(word.text) or str(lookup.settings.loadtest.slo)
        _read(line, word, read_slo, instead)
    whole = ",".join(word.text for word in words)
    return _read(line, Word(whole, words[-1].at), read_slo) if words else lookup.settings.loadtest.slo


def take_abort(line: Line, lookup: Lookup) -> tuple[Abort | None, Word | None]:
    """When the test is ended early: as said, or as in the settings; and the word for the time, where there is one."""
    if line.take_after(("abort",), lambda text: text == "never"):
        return None, None
    word = line.take_after(("abort",), _is_condition) or _take_bare_condition(line)
    if word is None:
        if alone := line.take(lambda text: text == "abort"):
            problem = "Say when to give up, like abort errors>20% for 10s, or abort never."
            raise line.mistake(problem, at=alone.at, instead=f"abort {GOOD_ABORT}")
        return lookup.settings.loadtest.abort, None
    abort = _read(line, word, read_abort, _possible_abort(word.text))
    time = line.take_behind(word, ("for",), is_number)
    return (
        Abort(errors_percent=abort.errors_percent, for_s=read_time_s(line, time, good=GOOD_PATIENCE)) if time else abort
    ), time


def read_rate(line: Line, word: Word) -> float:
    """The rate that `word` says, in requests a second. Raises UsageError."""
    return _read(line, word, read_rate_rps, _possible_rate(word.text))


def read_range(line: Line, word: Word) -> tuple[float, float]:
    """The two rates that `word` says, the lower one first. Raises UsageError."""
    return _read(line, word, read_rates_rps, _possible_range(word.text))


def read_time_s(line: Line, word: Word, *, shortest_s: float = SHORTEST_S, good: str = GOOD_TIME) -> float:
    """The seconds that `word` says, at least `shortest_s`. Raises UsageError, with `good` where it says none."""
    duration_s = _read(line, word, read_duration_s, _possible_time(word.text) or good)
    if duration_s < shortest_s:
        instead = spell_duration(shortest_s)
        raise line.mistake(f"{quoted(word.text)} is too short; write at least {instead}.", at=word.at, instead=instead)
    return duration_s


def must_be_under_the_cap(line: Line, place: Environment | LoadTarget, rate_rps: float, word: Word | None) -> None:
    """Raise UsageError where `rate_rps`, said by `word`, is more than `place` takes and nobody can approve it."""
    cap_rps = place.max_load_rps
    if word is None or cap_rps is None or rate_rps <= cap_rps or place.approvals is not None:
        return
    problem = f"{quoted(word.text)} is above the cap of {show_number(cap_rps)} rps that {place.key}.max_load sets."
    within = spell_rate(cap_rps)
    raise line.mistake(problem, at=word.at, instead=a_range_below(cap_rps) if is_range(word.text) else within)


def must_be_short_enough(line: Line, lookup: Lookup, whole_s: float, word: Word | None, *, instead: str) -> None:
    """Raise UsageError where a load of `whole_s` is longer than any may be; `word` is to blame, `instead` would do."""
    longest_s = lookup.settings.loadtest.longest_s
    if whole_s <= longest_s:
        return
    said = quoted(word.text) if word else "That"
    allowed = f"loadtest.longest allows {show_duration(longest_s)} in all"
    problem = f"{said} makes it a load of {show_duration(whole_s)}; {allowed}."
    raise line.mistake(problem, at=word.at if word else None, instead=instead)


def a_range_below(highest_rps: float) -> str:
    """Two rates, the higher one `highest_rps`, as they are typed."""
    lowest_rps = highest_rps / 10
    return f"{digits(lowest_rps)}..{spell_rate(highest_rps)}" if lowest_rps >= LOWEST_RPS else GOOD_RATES


def _take_bare_condition(line: Line) -> Word | None:
    # After the word slo it is an objective written the wrong way round.
    return None if line.has("slo") else line.take(lambda text: re.fullmatch(r"errors?>.*", text) is not None)


def _is_condition(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|errors?.*|[0-9].*", word) is not None


def _is_objective(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|p[0-9].*|errors?.*", word) is not None


def _read(line: Line, word: Word, read: Callable[[str], Value], instead: str = "") -> Value:
    """What `read` makes of `word`. Raises UsageError with `instead` in its place."""
    try:
        return read(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=instead) from error


def _possible_rate(text: str) -> str:
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?k?)[a-z/]*", text.replace(",", ""))
    rate = f"{found[1]}rps" if found else ""
    if _reads(read_rate_rps, rate):
        return rate
    return _possible_range(text) if re.search(r"[0-9]-[0-9]", text) else GOOD_RATE


def _possible_range(text: str) -> str:
    rates = sorted(float(number) for number in re.findall(r"[0-9]{1,7}(?:\.[0-9]{1,3})?", text)[:2])
    instead = f"{digits(rates[0])}..{spell_rate(rates[-1])}" if rates else ""
    return instead if _reads(read_rates_rps, instead) else GOOD_RATES


def _possible_time(text: str) -> str:
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?)([dhms]?)[a-z]*", text.replace(",", ""))
    time = f"{found[1]}{found[2] or 's'}" if found else ""
    return time if _reads(read_duration_s, time) else ""


def _possible_slo(text: str) -> str:
    found = re.findall(r"p([0-9.]+)[^0-9,]+([0-9.]+)(m?s)?", text)
    latency = [f"p{percentile}<{bound}{unit or 'ms'}" for percentile, bound, unit in found]
    errors = [f"errors<{percent}%" for percent in re.findall(r"errors?[^0-9,]+([0-9.]+)", text)]
    slo = ",".join((*latency[:1], *errors[:1]))
    return slo if _reads(read_slo, slo) else ""


def _possible_abort(text: str) -> str:
    found = re.search(r"[0-9]{1,2}(?:\.[0-9]{1,3})?", text)
    condition = f"errors>{found[0]}%" if found else ""
    return condition if _reads(read_abort, condition) else GOOD_ABORT


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
