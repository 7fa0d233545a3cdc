"""The table of commands, and the functions that parse a command or a mention with it and correct their mistakes.

The bot, its manifest and its manual use the table. A new verb is one file and one line of the table.
"""

import re
from collections.abc import Mapping

from bot.commands import deploy, jobs, loadtest, model, scale, schedule, seatrial
from bot.commands.arguments import closest
from bot.commands.command import Command, Desk, Lookup, Request, UsageError
from bot.commands.help import ShowHelp
from bot.commands.line import FILLERS, HELP, Line, clean
from workers.contract.units import quoted

__all__ = ["COMMANDS", "Command", "Desk", "Lookup", "Request", "UsageError", "read", "read_command", "read_mention"]

LONGEST = 1_000
"""Characters of a command. Default 1,000: ten times the length of any useful one."""

_JOB_COMMANDS = (model.COMMAND, deploy.COMMAND, scale.COMMAND, loadtest.COMMAND)
"""The commands that submit jobs, which can be scheduled."""
COMMANDS: Mapping[str, Command] = {
    command.verb: command
    for command in (*_JOB_COMMANDS, schedule.command(_JOB_COMMANDS), jobs.COMMAND, seatrial.COMMAND)
}
_ABOUT_A_JOB = ("show", "cancel", "retry")
_MOST_MISTAKES = 12


def read(verb: str, text: str, lookup: Lookup) -> Request:
    """Parse the `text` after `verb` ("/deploy"). Raises UsageError with a `nearest` command that is understood."""
    try:
        return _parse(verb, text, lookup)
    except UsageError as error:
        raise _correct(error, lookup) from error


def read_command(command: str, lookup: Lookup) -> Request:
    """Parse a whole command with its verb. Raises UsageError as `read` does."""
    return read(*_split(clean(command)), lookup)


def read_mention(text: str, lookup: Lookup, job_id: str | None) -> Request:
    """Parse a mention of the bot: any command, with or without its slash. Raises UsageError as `read` does.

    The command is the text after the mention, or else the text before it. In the thread of a job's card
    `job_id` is that job, and `cancel`, `retry` and `show` need not name it.
    """
    before, *after = re.split(r"(?:\s*<@[^<>]*>)+[:,]?", text, maxsplit=1)
    words = [word for word in clean("".join(after).strip() or before).split() if word.lower() not in FILLERS]
    first = words[0].lower().strip('"*_.,!').removeprefix("/") if words else ""
    if not first or first in HELP:
        return ShowHelp()
    if first == "status":
        return read("/seatrial", " ".join(words), lookup)
    first = "cancel" if first == "stop" else first
    if first in _ABOUT_A_JOB:
        first, words = "jobs", ["jobs", first, *words[1:]]
    if first == "jobs" and len(words) == 2 and words[1].lower() in _ABOUT_A_JOB and job_id is not None:
        words.append(job_id)
    return read(f"/{first}", " ".join(words[1:]), lookup)


def _parse(verb: str, text: str, lookup: Lookup) -> Request:
    """Parse a command. Raises UsageError for its first mistake."""
    command = COMMANDS.get(verb.lower())
    if command is None:
        raise _unknown_verb(verb, text[: LONGEST // 2])
    if len(text) > LONGEST:
        problem = f"That is {len(text):,} characters long; a command has at most {LONGEST:,}."
        raise UsageError(problem, usage=command.forms[0].usage, nearest=f"{command.verb} help")
    help_request = ShowHelp(verb="" if command.verb == "/seatrial" else command.verb)
    words = clean(text).lower().split()
    if words and not HELP.isdisjoint((words[0], words[-1])):  # after a verb, or after a subcommand
        return help_request
    if Line(command.verb, text, command.forms[0]).is_empty:
        return command.alone or help_request
    return command.parse(text, lookup)


def _unknown_verb(verb: str, text: str) -> UsageError:
    """Return the error for an unknown verb. It may be a misspelled verb, or a subcommand without its verb."""
    name, names = verb.lower().removeprefix("/"), [other.removeprefix("/") for other in COMMANDS]
    nearest = "/seatrial help"
    if owner := next((other for other in COMMANDS if _subcommand(f"{other} {name}")), None):
        nearest = f"{owner} {name} {text}"
    elif similar := closest(name, names):
        nearest = f"/{similar} {text}"
    usage = "/VERB …, where VERB is " + ", ".join(names)
    return UsageError(f"There is no command {quoted(verb)}.", usage=usage, nearest=nearest)


def _correct(error: UsageError, lookup: Lookup) -> UsageError:
    """Return `error` with a `nearest` command that is understood as it stands.

    The problem also names the last mistake if its correction is another command, such as a deployment that must come
    first.
    """
    nearest, last_problem = _corrected(error.nearest, lookup)
    problem = error.problem
    if last_problem not in ("", problem) and nearest.split()[0] != error.nearest.split()[0]:
        problem = f"{problem} {last_problem}"
    return UsageError(problem, usage=error.usage, nearest=nearest)


def _corrected(command: str, lookup: Lookup) -> tuple[str, str]:
    """Return `command` with its mistakes corrected one after another, and the last problem.

    A command that cannot be corrected becomes a request for help, which is always understood.
    """
    problem = ""
    for _ in range(_MOST_MISTAKES):
        try:
            request = _parse(*_split(command), lookup)
        except UsageError as error:
            command, problem = error.nearest, error.problem
            continue
        if isinstance(request, ShowHelp):
            break
        short = request.spelled(lookup.settings)
        # Keep a subcommand such as `/deploy rollback`, although `/deploy v1` requests the same.
        return (command if _subcommand(command) not in ("", _subcommand(short)) else short), problem
    verb = command.split()[0]
    return f"{verb if verb in COMMANDS else '/seatrial'} help", problem


def _subcommand(command: str) -> str:
    """Return the subcommand in a command, or ""."""
    verb, _, text = command.partition(" ")
    name = text.partition(" ")[0]
    usages = (form.usage.split() for form in COMMANDS[verb].forms)
    return name if name.islower() and any(words[1:2] == [name] for words in usages) else ""


def _split(command: str) -> tuple[str, str]:
    verb, _, text = command.partition(" ")
    return verb, text
