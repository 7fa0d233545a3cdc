"""`/loadtest`: load on an endpoint, at a rate that is asked for."""

import re
from collections.abc import Callable

from bot.commands.command import Ask, CancelJob, Command, Form, Known, LastLoadTest, Meaning, ShowHelp
from bot.commands.names import (
    end,
    is_number,
    must_be_served,
    only_environment,
    only_model,
    take_environment,
    take_job_id,
    take_model,
)
from bot.commands.words import Line, Word, joined
from workers.contract.jobs import LoadTest, Slo
from workers.contract.units import quoted, read_duration_s, read_rate_rps, read_slo

SHORTEST_S = 1.0
"""A load test's numbers are taken every second."""

_LOADTEST = Form(
    usage="/loadtest RATE [for TIME] [MODEL] [on ENV] [ramp TIME] [slo p95<200ms,errors<1%]",
    does="load at RATE; live numbers and replicas; a report with a verdict",
)
_FORMS = {
    "stop": Form(usage="/loadtest stop [JOB]", does="ends the load test that runs, or JOB"),
    "last": Form(usage="/loadtest last [ENV]", does="the newest load test again"),
}
_GOOD_RATE, _GOOD_TIME = "1000rps", "5m"
_RATE_LIKE = re.compile(r".*(rps|qps|req/s|/s|/m|/min)", re.ASCII)
_TIME_LIKE = re.compile(r"[0-9][0-9.]*(ms|d|h|m|s)[a-z0-9.]*", re.ASCII)


def _parse(text: str, known: Known) -> Meaning:
    line = Line("/loadtest", joined(text), _LOADTEST)
    if line.asks_for_help:
        return ShowHelp(verb=line.verb)
    match line.subcommand(_FORMS):
        case "stop":
            job_id = take_job_id(line)
            end(line, known)
            return CancelJob(job_id=job_id)
        case "last":
            environment = take_environment(line, known)
            end(line, known)
            return LastLoadTest(environment=environment)
    return _load_test(line, known)


def _load_test(line: Line, known: Known) -> Ask:
    dry_run = line.dry_run()
    slo = _take_slo(line, known)
    ramp = line.take_after(("ramp",), is_number)
    environment = take_environment(line, known)
    model = take_model(line, known)
    rate = line.take(_is_rate, after=("at", "for", "of"))
    duration = line.take_after(("for",), is_number) or line.take(_is_time)
    # A number without a unit: what it lacks is said when it is read.
    rate = rate or line.take(is_number, after=("at", "of"))
    duration = duration or line.take(lambda text: is_number(text) and not _is_rate(text))
    end(line, known, (*_FORMS, "ramp", "slo", "for"), lacking="" if rate else _GOOD_RATE)
    if rate is None:
        raise line.mistake("Say at which rate, like 1000rps or 60/s.", instead=_GOOD_RATE)
    rate_rps = _read_rate_rps(line, rate)
    duration_s = _read_time_s(line, duration) if duration else known.settings.loadtest.duration_s
    ramp_s = _read_time_s(line, ramp) if ramp else 0.0
    model = model or only_model(line, known)
    environment = environment or only_environment(line, known)
    must_be_served(line, known, model=model, environment=environment)
    job = LoadTest(
        model=model, environment=environment, rate_rps=rate_rps, duration_s=duration_s, ramp_s=ramp_s, slo=slo
    )
    return Ask(job=job, dry_run=dry_run)


def _is_rate(word: str) -> bool:
    return is_number(word) and _RATE_LIKE.fullmatch(word) is not None


def _is_time(word: str) -> bool:
    return _TIME_LIKE.fullmatch(word) is not None and not _is_rate(word)


def _take_slo(line: Line, known: Known) -> Slo:
    """The objectives that are named, all of them, or else the settings'."""
    words: list[Word] = []
    while word := line.take_after(("slo",), _is_objective) or line.take(lambda text: "<" in text or ">" in text):
        words.append(word)
    for word in words:
        try:
            read_slo(word.text)
        except ValueError as error:
            instead = _possible_slo(word.text) or str(known.settings.loadtest.slo)
            raise line.mistake(str(error), at=word.at, instead=instead) from error
    try:
        return read_slo(",".join(word.text for word in words)) if words else known.settings.loadtest.slo
    except ValueError as error:
        raise line.mistake(str(error), at=words[-1].at) from error


def _is_objective(word: str) -> bool:
    return re.fullmatch(r".*[<>=%].*|p[0-9].*|errors?.*", word) is not None


def _read_rate_rps(line: Line, word: Word) -> float:
    try:
        return read_rate_rps(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=_possible_rate(word.text)) from error


def _read_time_s(line: Line, word: Word) -> float:
    try:
        duration_s = read_duration_s(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=_possible_time(word.text)) from error
    if duration_s < SHORTEST_S:
        raise line.mistake(f"{quoted(word.text)} is too short; write at least 1s.", at=word.at, instead="1s")
    return duration_s


def _possible_rate(text: str) -> str:
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?k?)[a-z/]*", text.replace(",", ""))
    rate = f"{found[1]}rps" if found else ""
    return rate if _reads(read_rate_rps, rate) else _GOOD_RATE


def _possible_time(text: str) -> str:
    found = re.fullmatch(r"[+-]?([0-9]+(?:\.[0-9]+)?)([dhms]?)[a-z]*", text.replace(",", ""))
    time = f"{found[1]}{found[2] or 's'}" if found else ""
    return time if _reads(read_duration_s, time) else _GOOD_TIME


def _possible_slo(text: str) -> str:
    latency = [f"p{p}<{ms}ms" for p, ms in re.findall(r"p([0-9.]+)[^0-9,]+([0-9.]+)", text)]
    errors = [f"errors<{percent}%" for percent in re.findall(r"errors?[^0-9,]+([0-9.]+)", text)]
    slo = ",".join((*latency[:1], *errors[:1]))
    return slo if _reads(read_slo, slo) else ""


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


COMMAND = Command(
    verb="/loadtest",
    does="Put load on an endpoint, and learn whether it holds.",
    forms=(_LOADTEST, *_FORMS.values()),
    parse=_parse,
)
