"""What can be typed: the table of commands, which is the manual too, and the ways in that read a command by it."""

import re
from collections.abc import Mapping

from bot.commands import deploy, jobs, loadtest, model, scale, schedule, seatrial
from bot.commands.command import Command, Lookup, Request, ShowHelp, UsageError
from bot.commands.line import FILLERS, HELP, clean, closest
from bot.commands.spelling import typed
from workers.contract.units import quoted

LONGEST = 1_000
"""Characters of a command: ten times what any needs."""

COMMANDS: Mapping[str, Command] = {
    command.verb: command
    for command in (
        model.COMMAND,
        deploy.COMMAND,
        scale.COMMAND,
        loadtest.COMMAND,
        schedule.COMMAND,
        jobs.COMMAND,
        seatrial.COMMAND,
    )
}

_ON_A_JOB = ("show", "cancel", "retry")
_USAGE = "/VERB …, where VERB is " + ", ".join(verb.removeprefix("/") for verb in COMMANDS)
_MOST_MISTAKES = 12


def read(verb: str, text: str, lookup: Lookup) -> Request:
    """What `text` after `verb` ("/deploy") means.

    Raises UsageError for whatever is not understood: its `nearest` is a whole command that is, as it stands.
    """
    try:
        return _read_once(verb, text, lookup)
    except UsageError as error:
        nearest, why = _mended(error.nearest, lookup)
        elsewhere = nearest.split()[0] != error.nearest.split()[0]
        problem = f"{error.problem} {why}" if why and elsewhere and why != error.problem else error.problem
        raise UsageError(problem, usage=error.usage, nearest=nearest) from error


def read_command(command: str, lookup: Lookup) -> Request:
    """What a whole command means, verb and all. Raises UsageError as `read` does."""
    verb, _, text = clean(command).partition(" ")
    return read(verb, text, lookup)


def read_mention(text: str, lookup: Lookup, job_id: str | None) -> Request:
    """What a mention means: any command with or without its slash, or a word about a job.

    `text` may have the mention itself at any place: what follows it is read, or what is before where nothing follows.
    In the thread of a job's card `job_id` is that job, which `cancel`, `retry` and `show` then need not name. Raises
    UsageError as `read` does.
    """
    before, *after = re.split(r"(?:\s*<@[^<>]*>)+[:,]?", text, maxsplit=1)
    words = [word for word in clean("".join(after).strip() or before).split() if word.lower() not in FILLERS]
    first = words[0].lower().strip('"*_.,!').removeprefix("/") if words else ""
    if not first or first in HELP:
        return ShowHelp()
    if first == "status":
        return read("/seatrial", " ".join(words), lookup)
    first = "cancel" if first == "stop" else first
    if first in _ON_A_JOB:
        first, words = "jobs", ["jobs", first, *words[1:]]
    if first == "jobs" and len(words) == 2 and words[1].lower() in _ON_A_JOB and job_id is not None:
        words.append(job_id)
    return read(f"/{first}", " ".join(words[1:]), lookup)


def _read_once(verb: str, text: str, lookup: Lookup) -> Request:
    command = COMMANDS.get(verb.lower())
    if command is None:
        raise _unknown_verb(verb, text)
    if len(text) > LONGEST:
        raise UsageError(
            f"That is {len(text):,} characters long; a command has at most {LONGEST:,}.",
            usage=command.forms[0].usage,
            nearest=f"{command.verb} help",
        )
    words = clean(text).lower().split()
    if words and not HELP.isdisjoint((words[0], words[-1])):  # of a subcommand, at its end
        return ShowHelp(verb="" if command.verb == "/seatrial" else command.verb)
    return command.parse(text, lookup)


def _unknown_verb(verb: str, text: str) -> UsageError:
    name = verb.lower().removeprefix("/")
    owner = next((other for other in COMMANDS.values() if _subcommand(f"{other.verb} {name}")), None)
    meant = closest(name, (other.removeprefix("/") for other in COMMANDS))
    if owner:
        nearest = f"{owner.verb} {name} {text}"
    elif meant:
        nearest = f"/{meant} {text}"
    else:
        nearest = "/seatrial help"
    return UsageError(f"There is no command {quoted(verb)}.", usage=_USAGE, nearest=nearest[:LONGEST])


def _subcommand(command: str) -> str:
    """The subcommand in a command or a usage line, or "" where there is none."""
    verb, _, text = command.partition(" ")
    name = text.partition(" ")[0]
    usages = (form.usage.split() for form in COMMANDS[verb].forms)
    return name if name.islower() and any(words[1:2] == [name] for words in usages) else ""


def _mended(command: str, lookup: Lookup) -> tuple[str, str]:
    """`command` with its mistakes put right one after another, and the last one that there was.

    A reader corrects the first mistake that it finds and no more, so a correction is read again until it is
    understood; help, which always is, stands for what cannot be mended.
    """
    why = ""
    for _ in range(_MOST_MISTAKES):
        verb, _, text = command.partition(" ")
        try:
            meaning = _read_once(verb, text, lookup)
            if isinstance(meaning, ShowHelp):
                break
            short = typed(meaning, lookup.settings)
            # A subcommand such as `/deploy rollback` is not told in other words.
            return (command if _subcommand(command) not in ("", _subcommand(short)) else short), why
        except UsageError as error:
            command, why = error.nearest, error.problem
    verb = command.split()[0]
    return f"{verb if verb in COMMANDS else '/seatrial'} help", why
