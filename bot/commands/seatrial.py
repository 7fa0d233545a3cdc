"""`/seatrial`: what can be typed, and how Seatrial is."""

from bot.commands.arguments import end
from bot.commands.command import Command, Form, Lookup, Request, ShowHelp, ShowStatus
from bot.commands.line import Line, closest
from workers.contract.units import quoted

_FORMS = {
    "help": Form(usage="/seatrial help", does="what can be typed"),
    "status": Form(usage="/seatrial status", does="health of Redis and the workers, and how many jobs there are"),
}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/seatrial", text, _FORMS["help"])
    if line.is_empty:
        return ShowHelp()
    if line.subcommand(_FORMS) == "status":
        end(line, lookup)
        return ShowStatus()
    word = line.next_left()
    if word is None:
        return ShowHelp()
    raise line.mistake(
        f"{quoted(word.text)} is nothing that /seatrial does; it can help and tell its status.",
        at=word.at,
        instead=closest(word.text, _FORMS) or "help",
    )


COMMAND = Command(
    verb="/seatrial",
    does="What can be typed, and how Seatrial is.",
    forms=tuple(_FORMS.values()),
    parse=_parse,
)
