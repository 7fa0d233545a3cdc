"""`/schedule`: commands on a clock."""

import re
from functools import cache
from itertools import dropwhile
from zoneinfo import available_timezones

from bot.commands import cron, deploy, loadtest, model, scale
from bot.commands.arguments import end
from bot.commands.command import (
    AddSchedule,
    ChangeSchedule,
    Command,
    Form,
    ListSchedules,
    Lookup,
    Request,
    ShowHelp,
    Submit,
    UsageError,
)
from bot.commands.line import Line, clean, closest
from bot.commands.spelling import command_for
from workers.contract.units import quoted

_JOBS = {
    command.verb.removeprefix("/"): command
    for command in (model.COMMAND, deploy.COMMAND, scale.COMMAND, loadtest.COMMAND)
}
_GOOD_COMMAND = "loadtest 1000rps for 5m"

_ADD = Form(
    usage='/schedule add "CRON" [TIMEZONE] COMMAND…',
    does="any command that starts a job, on a clock; the next three times are shown, its cards come here",
)
_FORMS = {
    "add": _ADD,
    "list": Form(usage="/schedule list", does="what is scheduled, and when it is due next"),
    "pause": Form(usage="/schedule pause ID", does="fires no more until it is resumed"),
    "resume": Form(usage="/schedule resume ID", does="fires again"),
    "run": Form(usage="/schedule run ID", does="fires once, now"),
    "remove": Form(usage="/schedule remove ID", does="forgets it"),
}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/schedule", text, _ADD)
    if line.is_empty:
        return ShowHelp(verb=line.verb)
    match line.subcommand(_FORMS):
        case "add":
            return _add(re.split(r"\badd\b", clean(text), maxsplit=1, flags=re.IGNORECASE)[-1], lookup)
        case "list":
            end(line, lookup)
            return ListSchedules()
        case "pause":
            return ChangeSchedule(change="pause", schedule_id=_schedule_id(line, lookup))
        case "resume":
            return ChangeSchedule(change="resume", schedule_id=_schedule_id(line, lookup))
        case "run":
            return ChangeSchedule(change="run", schedule_id=_schedule_id(line, lookup))
        case "remove":
            return ChangeSchedule(change="remove", schedule_id=_schedule_id(line, lookup))
    word = line.next_left()
    if word is None:
        return ShowHelp(verb=line.verb)
    raise line.mistake(
        f"{quoted(word.text)} is nothing that /schedule does; it can add, list, pause, resume, run and remove.",
        at=word.at,
        instead=closest(word.text, _FORMS) or "help",
    )


def _schedule_id(line: Line, lookup: Lookup) -> str:
    """A schedule's id: a letter s and a number; the number alone will do."""
    word = line.take(lambda text: True)
    match = re.fullmatch(r"[s#]?([0-9]{1,9})", word.text) if word else None
    if match is None:
        problem = (
            f"{quoted(word.text)} is not a schedule; schedules are named like s1." if word else "Say which schedule."
        )
        raise UsageError(problem, usage=line.usage, nearest="/schedule list")
    end(line, lookup)
    return f"s{int(match[1])}"


def _add(text: str, lookup: Lookup) -> AddSchedule:
    """Read what follows `add`: the cron expression, quoted or not, then the time zone, then the command."""
    if match := re.fullmatch(r' ?"([^"]*)" ?(.*)', text):
        fields, words = match[1], match[2].replace('"', " ").split()
    else:
        words = text.replace('"', " ").split()
        length = next((at for at, word in enumerate(words) if not cron.looks_like_field(word)), len(words))
        if not length and words[:1] and not _is_job(words[0]):
            length = 1  # What stands where the fields should is what is wrong with them.
        fields, words = " ".join(words[:length]), words[length:]
    zone, words = _time_zone(fields, words)
    try:
        when = cron.read_cron(fields)
    except cron.CronError as error:
        problem = str(error) if fields else "Say when: five fields of cron, in quotes."
        raise _mistake(problem, error.nearest, zone, " ".join(words)) from error
    return AddSchedule(cron=when, time_zone=zone, command=_command(when, zone, words, lookup))


def _time_zone(fields: str, words: list[str]) -> tuple[str, list[str]]:
    """The time zone that `words` begin or end with, UTC where there is none, and the other words."""
    words = words[1:] if words[:1] in (["in"], ["at"]) else words
    if not words:
        return "UTC", words
    zones = _zones()
    if _is_job(words[0]):
        # In the end only one with a slash: what is called Japan may be a model.
        last = zones.get(words[-1].lower()) if "/" in words[-1] else None
        return (last, words[: -2 if words[-2] == "in" else -1]) if last else ("UTC", words)
    if found := zones.get(words[0].lower()):
        return found, words[1:]
    zone = zones.get(closest(words[0], zones) or "")
    if zone and ("/" in words[0].strip("/") or not closest(words[0].removeprefix("/"), _JOBS)):
        raise _mistake(f"There is no time zone {quoted(words[0])}.", fields, zone, " ".join(words[1:]))
    return "UTC", words


def _is_job(word: str) -> bool:
    return word.lower().removeprefix("/") in _JOBS


@cache
def _zones() -> dict[str, str]:
    """The time zones of this machine's tz database by their names in lower case; UTC is always one."""
    return {name.lower(): name for name in available_timezones() | {"UTC"}}


def _command(when: str, zone: str, words: list[str], lookup: Lookup) -> str:
    """The command of a schedule, spelled out so that it goes on to mean the same. Raises UsageError."""
    if not words:
        raise _mistake("Say what to do: a command that starts a job.", when, zone, _GOOD_COMMAND)
    verb = words[0].lower().removeprefix("/")
    if verb not in _JOBS:
        meant = closest(verb, _JOBS)
        raise _mistake(
            f"{quoted(words[0])} is neither a time zone nor a command that starts a job.",
            when,
            zone,
            " ".join([meant, *words[1:]] if meant else dropwhile(lambda word: not _is_job(word), words)),
        )
    try:
        meaning = _JOBS[verb].parse(" ".join(words[1:]), lookup)
    except UsageError as error:
        raise _mistake(error.problem, when, zone, error.nearest.removeprefix("/")) from error
    if not isinstance(meaning, Submit):
        raise _mistake(f"{quoted(' '.join(words))} starts no job.", when, zone, _GOOD_COMMAND)
    if meaning.dry_run:
        command = command_for(meaning.job, lookup.settings).removeprefix("/")
        raise _mistake("A dry run does nothing; schedule the command itself.", when, zone, command)
    return command_for(meaning.job, lookup.settings, model_always=True)


def _mistake(problem: str, when: str, zone: str, command: str) -> UsageError:
    zone = "" if zone == "UTC" else f" {zone}"
    return UsageError(problem, usage=_ADD.usage, nearest=f'/schedule add "{when}"{zone} {command or _GOOD_COMMAND}')


COMMAND = Command(
    verb="/schedule",
    does="Put commands on a clock. Where clocks change, a time that is skipped fires as much later, and one that comes "
    "twice fires once.",
    forms=tuple(_FORMS.values()),
    parse=_parse,
)
