"""The table of commands, and the functions that parse a typed command or a mention with it.

The bot, its manifest and its manual use the table. A new verb is one file and one line of the table.
"""

import re
from collections.abc import Mapping

from bot.commands import deploy, jobs, loadtest, model, scale, schedule, seatrial
from bot.commands.command import Command, Desk, Lookup, Request, UsageError
from bot.commands.corrections import correct, unknown_verb
from bot.commands.help import ShowHelp
from bot.commands.line import FILLERS, HELP, Line, clean

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


def read(verb: str, text: str, lookup: Lookup) -> Request:
    """Parse the `text` after `verb` ("/deploy"). Raises UsageError with a `nearest` command that is understood."""
    try:
        return _parse(verb, text, lookup)
    except UsageError as error:
        raise correct(
            error, lookup, commands=COMMANDS, parse=lambda command: _parse(*_split(command), lookup)
        ) from error


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
    command = COMMANDS.get(verb.lower())
    if command is None:
        raise unknown_verb(verb, text[: LONGEST // 2], COMMANDS)
    if len(text) > LONGEST:
        raise UsageError(
            f"That is {len(text):,} characters long; a command has at most {LONGEST:,}.",
            usage=command.forms[0].usage,
            nearest=f"{command.verb} help",
        )
    words = clean(text).lower().split()
    if words and not HELP.isdisjoint((words[0], words[-1])):  # after a verb, or after a subcommand
        return _help(command)
    if Line(command.verb, text, command.forms[0]).is_empty:
        return command.alone or _help(command)
    return command.parse(text, lookup)


def _help(command: Command) -> ShowHelp:
    return ShowHelp(verb="" if command.verb == "/seatrial" else command.verb)


def _split(command: str) -> tuple[str, str]:
    verb, _, text = command.partition(" ")
    return verb, text
