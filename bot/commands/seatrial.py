"""`/seatrial`: the manual, and the health of Seatrial."""

from bot.commands.arguments import Arguments
from bot.commands.command import Command, Desk, Form, Lookup, Message, Request, SimpleRequest
from bot.commands.help import ShowHelp
from bot.views import replies

_FORMS = {
    "help": Form(usage="/seatrial help", does="this manual"),
    "status": Form(usage="/seatrial status", does="health of Redis and the workers, and the number of jobs"),
}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Arguments("/seatrial", text, _FORMS["help"], lookup)
    match line.subcommand(_FORMS):
        case "help":
            return ShowHelp()
        case "status":
            line.end()
            return SimpleRequest("/seatrial status", _status)
    raise line.unknown_subcommand(_FORMS)


def _status(desk: Desk) -> Message:
    recent = desk.recent()
    running = sum(record.state == "running" for record in recent)
    waiting = sum(not record.final and record.state != "running" for record in recent)
    unreadable = [record.id for record in recent if record.unreadable]
    return replies.status(workers=desk.workers(), running=running, waiting=waiting, unreadable=unreadable)


COMMAND = Command(
    verb="/seatrial", does="Show this manual, and the health of Seatrial.", forms=tuple(_FORMS.values()), parse=_parse
)
