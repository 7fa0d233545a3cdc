"""`/schedule`: run commands on a clock."""

import re
from collections.abc import Sequence
from functools import partial

from bot.commands.arguments import Arguments
from bot.commands.cleaning import clean
from bot.commands.command import Command, Desk, Form, Lookup, Message, Request, SimpleRequest
from bot.commands.schedule.add import ADD, AddParser
from bot.views import replies, schedules as views

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
    return Command(
        verb="/schedule",
        does="Run commands at set times. When clocks change, a skipped time fires as much later, and a time that "
        "occurs twice fires once.",
        forms=tuple(_FORMS.values()),
        parse=partial(_parse, AddParser(job_commands)),
    )


def _parse(parser: AddParser, text: str, lookup: Lookup) -> Request:
    line = Arguments("/schedule", text, ADD, lookup)
    match line.subcommand(_FORMS):
        case "add":
            return parser.parse(re.split(r"\badd\b", clean(text), maxsplit=1, flags=re.IGNORECASE)[-1], lookup)
        case "list":
            line.end()
            return SimpleRequest("/schedule list", _list)
        case ("pause" | "resume" | "run" | "remove") as action:
            schedule_id = _schedule_id(line)
            return SimpleRequest(f"/schedule {action} {schedule_id}", lambda desk: _apply(desk, action, schedule_id))
    raise line.unknown_subcommand(_FORMS)


def _schedule_id(line: Arguments) -> str:
    """Take a schedule's id: the letter s and a number, or the number alone. Raises UsageError."""
    word = line.take(lambda text: True)
    match = re.fullmatch(r"[s#]?([0-9]{1,9})", word.text) if word else None
    if match is None:
        problem = f"{word.quoted} is not a schedule; schedules have ids like s1." if word else "Say which schedule."
        raise line.not_possible(f"{problem} /schedule list shows all.")
    line.end()
    return f"s{int(match[1])}"


def _list(desk: Desk) -> Message:
    return views.listed([(item, desk.next_times(item)) for item in desk.schedules.all()])


def _apply(desk: Desk, action: str, schedule_id: str) -> Message | None:
    schedule = next((item for item in desk.schedules.all() if item.id == schedule_id), None)
    if schedule is None:
        return replies.refused(f"There is no schedule {schedule_id}. /schedule list shows all schedules.")
    if action != "run":
        desk.check_schedule(schedule)
    match action:
        case "pause":
            desk.schedules.pause(schedule)
            return replies.plain(f"Schedule {schedule.id} is paused. `/schedule resume {schedule.id}` resumes it.")
        case "resume":
            resumed = desk.schedules.resume(schedule)
            return views.resumed(resumed, desk.next_times(resumed))
        case "remove":
            desk.schedules.remove(schedule)
            return views.removed(schedule)
    return desk.run_schedule(schedule)
