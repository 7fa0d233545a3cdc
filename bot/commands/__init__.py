"""The table of commands, and the functions that parse a command or a mention with it and correct their mistakes.

The bot, its manifest and its manual use the table. A new verb is one file and one line of the table.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from bot.commands import deploy, jobs, loadtest, model, scale, schedule, seatrial
from bot.commands.cleaning import clean
from bot.commands.command import Command, Desk, Lookup, Request, UsageError
from bot.commands.corrections import correct
from bot.commands.help import ShowHelp
from bot.commands.line import FILLERS, HELP, Line
from bot.commands.spelling import closest
from workers.contract.units import quoted

__all__ = [
    "ANY_VERB",
    "COMMANDS",
    "Command",
    "Desk",
    "Lookup",
    "Request",
    "UsageError",
    "read",
    "read_command",
    "read_mention",
]

LONGEST = 1_000
"""Characters of a command. Default 1,000: ten times the length of any useful one."""

_JOB_COMMANDS = (model.COMMAND, deploy.COMMAND, scale.COMMAND, loadtest.COMMAND)
"""The commands that submit jobs, which can be scheduled."""
COMMANDS: Mapping[str, Command] = {
    command.verb: command
    for command in (*_JOB_COMMANDS, schedule.command(_JOB_COMMANDS), jobs.COMMAND, seatrial.COMMAND)
}
_KEYWORDS = frozenset(
    re.findall("[a-z]{2,}", " ".join(form.usage for command in COMMANDS.values() for form in command.forms))
)
_ABOUT_A_JOB = ("show", "cancel", "retry")
ANY_VERB = re.compile(rf"/([a-z0-9_-]+-)?({'|'.join(verb.removeprefix('/') for verb in COMMANDS)})")
"""A verb of the table as Slack may know it: with its slash, and perhaps with a prefix as in /ml-deploy."""
_GREETINGS = "hi|hey|hello|hiya|yo|good (?:morning|afternoon|evening)|morning|ok|okay|please|dear"
_MENTION = re.compile(
    rf"(?P<marks>[\s*_]*)(?:(?:{_GREETINGS})\b[\s,.!*_]*)*<@(?P<user>\w+)(?:\|[^<>]*)?>[\s:;,.!-]*", re.IGNORECASE
)
_STRUCK_OUT = re.compile(r"(?<!\S)~\S.{0,300}?~(?!\w)")
_THIS_JOB = frozenset(("it", "job", "now", "test", "that", "this"))
_USAGE = "/VERB …, where VERB is " + ", ".join(verb.removeprefix("/") for verb in COMMANDS)


def read(verb: str, text: str, lookup: Lookup) -> Request:
    """Parse the `text` after `verb`: "/deploy", "/seatrial" before any other verb, or "/PREFIX-deploy".

    Raises UsageError; its `nearest` command is understood, if any, and is spelled like the typed one.
    """
    route = _route(verb, text)
    try:
        return _parse(route.verb, route.text, lookup)
    except UsageError as error:
        typed = f"{route.verb} {route.text}"
        found = correct(error, typed, lambda command: _parse(*_split(command), lookup), keywords=_KEYWORDS)
        spelled = (command and route.before + command.removeprefix("/") for command in (found.usage, found.nearest))
        usage, nearest = spelled
        raise UsageError(found.problem, usage=usage, nearest=nearest) from error


def read_command(command: str, lookup: Lookup) -> Request:
    """Parse a whole command with its verb. Raises UsageError as `read` does."""
    return read(*_split(clean(command)), lookup)


def read_mention(text: str, lookup: Lookup, job_id: str | None, *, bot_user: str | None = None) -> Request | None:
    """Parse a message that mentions the bot: any command, with or without its slash. Raises UsageError as `read` does.

    Return None unless the mention opens the message, perhaps after a greeting: other messages are about commands.
    `bot_user` is the bot's user id; None takes any mention for the bot's. In the thread of a job's card `job_id` is
    that job, and `cancel`, `retry` and `show` need not name it.
    """
    mention = _MENTION.match(text)
    if mention is None or bot_user not in (None, mention["user"]):
        return None
    rest = text[mention.end() :]
    if _STRUCK_OUT.search(rest):
        raise UsageError("Words that are struck out are no command; type it without them.", usage=_USAGE)
    words = [word for word in clean(mention["marks"].strip() + rest).split() if word.lower() not in FILLERS]
    typed = words[0].lower().strip('"') if words else ""
    first = typed.removeprefix("/")
    if not first or first in HELP:
        return ShowHelp()
    if first == "status":
        return read("/seatrial", " ".join(words), lookup)
    first = "cancel" if first == "stop" else first
    if first in _ABOUT_A_JOB:
        first, words = "jobs", ["jobs", first, *words[1:]]
    if first == "jobs" and words[1:2] and words[1].lower() in _ABOUT_A_JOB and job_id is not None:
        words = [*words[:2], job_id] if _THIS_JOB.issuperset(word.lower() for word in words[2:]) else words
    # Only a slash shows that "ml-" is a prefix: "un-deploy" is no deploy.
    verb = f"/{first}" if typed != first or f"/{first}" in COMMANDS else first
    return read(verb, " ".join(words[1:]), lookup)


class _Route(NamedTuple):
    """A verb of the table and its text, and the words typed `before` the verb: "/", "/PREFIX-" or "/seatrial "."""

    verb: str
    text: str
    before: str = "/"


def _route(verb: str, text: str) -> _Route:
    """Return the command that is meant by a verb with a prefix, or by `/seatrial` before another verb."""
    match = ANY_VERB.fullmatch(verb.lower())
    before, verb = (f"/{match[1] or ''}", f"/{match[2]}") if match else ("/", verb)
    if verb.lower() != seatrial.COMMAND.verb:
        return _Route(verb, text, before)
    first, rest = _split(clean(text))
    first = first.lower().strip('"').removeprefix("/")
    own = [form.usage.split()[1] for form in seatrial.COMMAND.forms]
    if not first or first in HELP or closest(first, own) or first == "seatrial":
        return _Route(verb, text, before)
    return _Route(f"/{first}", rest, f"{before}seatrial ")


def _parse(verb: str, text: str, lookup: Lookup) -> Request:
    """Parse a command. Raises UsageError for its first mistake."""
    command = COMMANDS.get(verb.lower())
    if command is None:
        raise _unknown_verb(verb, text[: LONGEST // 2])
    if len(text) > LONGEST:
        problem = f"That is {len(text):,} characters long; a command has at most {LONGEST:,}."
        raise UsageError(problem, usage=command.forms[0].usage)
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
    nearest = ""
    if similar := closest(name, names):
        nearest = f"/{similar} {text}"
    elif len(owners := [other for other in COMMANDS if _is_subcommand(other, name)]) == 1:
        nearest = f"{owners[0]} {name} {text}"
    return UsageError(f"There is no command {quoted(verb)}.", usage=_USAGE, nearest=nearest)


def _is_subcommand(verb: str, name: str) -> bool:
    return name.isalpha() and any(form.usage.split()[1:2] == [name] for form in COMMANDS[verb].forms)


def _split(command: str) -> tuple[str, str]:
    verb, _, text = command.partition(" ")
    return verb, text
