"""`/schedule`: run commands on a clock."""

import re
from collections.abc import Sequence

from bot.commands.arguments import end, unknown_subcommand
from bot.commands.command import Command, Form, Lookup, Question, Request, UsageError
from bot.commands.line import Line, clean
from bot.commands.schedule.add import ADD, AddParser
from bot.commands.schedule.requests import ChangeSchedule, list_schedules

_FORMS = {
    "add": ADD,
    "list": Form(usage="/schedule list", does="all schedules with their next times"),
    "pause": Form(usage="/schedule pause ID", does="stops a schedule until it is resumed"),
    "resume": Form(usage="/schedule resume ID", does="resumes a paused schedule"),
    "run": Form(usage="/schedule run ID", does="runs the command now"),
    "remove": Form(usage="/schedule remove ID", does="deletes a schedule"),
}


def command(job_commands: Sequence[Command]) -> Command:
    """Return the command `/schedule` for jobs of `job_commands`."""
    parser = AddParser(job_commands)
    return Command(
        verb="/schedule",
        does="Run commands at set times. When clocks change, a skipped time fires as much later, and a time that "
        "occurs twice fires once.",
        forms=tuple(_FORMS.values()),
        parse=lambda text, lookup: _parse(text, lookup, parser),
    )


def _parse(text: str, lookup: Lookup, parser: AddParser) -> Request:
    line = Line("/schedule", text, ADD)
    match line.subcommand(_FORMS):
        case "add":
            return parser.parse(re.split(r"\badd\b", clean(text), maxsplit=1, flags=re.IGNORECASE)[-1], lookup)
        case "list":
            end(line, lookup)
            return Question(command="/schedule list", reply=list_schedules)
        case ("pause" | "resume" | "run" | "remove") as change:
            return ChangeSchedule(change=change, schedule_id=_schedule_id(line, lookup))
    raise unknown_subcommand(line, _FORMS)


def _schedule_id(line: Line, lookup: Lookup) -> str:
    """Take a schedule's id: the letter s and a number, or the number alone. Raises UsageError."""
    word = line.take(lambda text: True)
    match = re.fullmatch(r"[s#]?([0-9]{1,9})", word.text) if word else None
    if match is None:
        problem = f"{word.quoted} is not a schedule; schedules have ids like s1." if word else "Say which schedule."
        raise UsageError(problem, usage=line.usage, nearest="/schedule list")
    end(line, lookup)
    return f"s{int(match[1])}"
