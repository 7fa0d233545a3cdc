"""Suggestions in place of mistakes: the closest name, the nearest valid quantity, and a whole corrected command.

Parsers report their first mistake with one correction; `correct` repeats that until the command is understood.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from bot.commands.command import Command, Lookup, Request, UsageError
from bot.commands.help import ShowHelp
from bot.commands.line import spell_rate
from workers.contract.formatting import digits
from workers.contract.replicas import Replicas
from workers.contract.units import (
    LOWEST_RPS,
    MOST_REPLICAS,
    quoted,
    read_abort,
    read_duration_s,
    read_rate_rps,
    read_rates_rps,
    read_slo,
)

EXAMPLE_RATE, EXAMPLE_RATES, EXAMPLE_TIME = "1000rps", "200..2000rps", "5m"
EXAMPLE_ABORT, EXAMPLE_ABORT_TIME = "errors>20%", "10s"
_MOST_MISTAKES = 12


def correct(
    error: UsageError, lookup: Lookup, *, commands: Mapping[str, Command], parse: Callable[[str], Request]
) -> UsageError:
    """Return `error` with a `nearest` command that `parse` understands as it stands.

    The problem also names the last mistake if its correction is another command, such as a deployment that must come
    first.
    """
    nearest, last_problem = _corrected(error.nearest, lookup, commands, parse)
    problem = error.problem
    if last_problem not in ("", problem) and nearest.split()[0] != error.nearest.split()[0]:
        problem = f"{problem} {last_problem}"
    return UsageError(problem, usage=error.usage, nearest=nearest)


def unknown_verb(verb: str, text: str, commands: Mapping[str, Command]) -> UsageError:
    """Return the error for an unknown verb. It may be a misspelled verb, or a subcommand without its verb."""
    name = verb.lower().removeprefix("/")
    owner = next((other for other in commands if _subcommand(f"{other} {name}", commands)), None)
    similar = closest(name, (other.removeprefix("/") for other in commands))
    if owner:
        nearest = f"{owner} {name} {text}"
    elif similar:
        nearest = f"/{similar} {text}"
    else:
        nearest = "/seatrial help"
    usage = "/VERB …, where VERB is " + ", ".join(other.removeprefix("/") for other in commands)
    return UsageError(f"There is no command {quoted(verb)}.", usage=usage, nearest=nearest)


def closest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that `word` probably misspells or abbreviates, or None."""
    names, word = list(names), word.lower()[:60]
    completed = [name for name in names if name.startswith(word)]
    if len(word) > 1 and len(completed) == 1:
        return completed[0]
    if len(word) < 3:  # "to" does not misspell "stop"
        return None
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return found[0] if found else None


def closest_replicas(text: str) -> str:
    """Return valid replicas made of the numbers in `text`."""
    found = [min(max(int(number), 1), MOST_REPLICAS) for number in re.findall(r"[0-9]{1,9}", text)[:2]] or [1]
    return str(Replicas(minimum=min(found), maximum=max(found)))


def closest_rate(text: str) -> str:
    """Return a valid rate, or range of rates, made of the numbers in `text`."""
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?k?)[a-z/]*", text.replace(",", ""))
    rate = f"{found[1]}rps" if found else ""
    if _is_valid(read_rate_rps, rate):
        return rate
    return closest_range(text) if re.search(r"[0-9]-[0-9]", text) else EXAMPLE_RATE


def closest_range(text: str) -> str:
    """Return a valid range of rates made of the numbers in `text`."""
    rates = sorted(float(number) for number in re.findall(r"[0-9]{1,7}(?:\.[0-9]{1,3})?", text)[:2])
    found = f"{digits(rates[0])}..{spell_rate(rates[-1])}" if rates else ""
    return found if _is_valid(read_rates_rps, found) else EXAMPLE_RATES


def range_below(highest_rps: float) -> str:
    """Return a range of rates that ends at `highest_rps`."""
    lowest_rps = highest_rps / 10
    return f"{digits(lowest_rps)}..{spell_rate(highest_rps)}" if lowest_rps >= LOWEST_RPS else EXAMPLE_RATES


def closest_time(text: str) -> str:
    """Return a valid duration made of the number in `text`, or ""."""
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?)([dhms]?)[a-z]*", text.replace(",", ""))
    time = f"{found[1]}{found[2] or 's'}" if found else ""
    return time if _is_valid(read_duration_s, time) else ""


def closest_slo(text: str) -> str:
    """Return a valid SLO made of the objectives in `text`, or ""."""
    found = re.findall(r"p([0-9.]+)[^0-9,]+([0-9.]+)(m?s)?", text)
    latency = [f"p{percentile}<{bound}{unit or 'ms'}" for percentile, bound, unit in found]
    errors = [f"errors<{percent}%" for percent in re.findall(r"errors?[^0-9,]+([0-9.]+)", text)]
    slo = ",".join((*latency[:1], *errors[:1]))
    return slo if _is_valid(read_slo, slo) else ""


def closest_abort(text: str) -> str:
    """Return a valid abort condition made of the number in `text`."""
    found = re.search(r"[0-9]{1,2}(?:\.[0-9]{1,3})?", text)
    condition = f"errors>{found[0]}%" if found else ""
    return condition if _is_valid(read_abort, condition) else EXAMPLE_ABORT


def _is_valid(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _corrected(
    command: str, lookup: Lookup, commands: Mapping[str, Command], parse: Callable[[str], Request]
) -> tuple[str, str]:
    """Return `command` with its mistakes corrected one after another, and the last problem.

    A command that cannot be corrected becomes a request for help, which is always understood.
    """
    problem = ""
    for _ in range(_MOST_MISTAKES):
        try:
            request = parse(command)
        except UsageError as error:
            command, problem = error.nearest, error.problem
            continue
        if isinstance(request, ShowHelp):
            break
        short = request.spelled(lookup.settings)
        # Keep a subcommand such as `/deploy rollback`, although `/deploy v1` requests the same.
        return (command if _subcommand(command, commands) not in ("", _subcommand(short, commands)) else short), problem
    verb = command.split()[0]
    return f"{verb if verb in commands else '/seatrial'} help", problem


def _subcommand(command: str, commands: Mapping[str, Command]) -> str:
    """Return the subcommand in a command, or ""."""
    verb, _, text = command.partition(" ")
    name = text.partition(" ")[0]
    usages = (form.usage.split() for form in commands[verb].forms)
    return name if name.islower() and any(words[1:2] == [name] for words in usages) else ""
