"""The lines in the thread under a card, one for each event. Pure."""

from collections.abc import Iterable

from bot.blocks import Message, date, escape, packed, person
from workers.contract import events as e

LONGEST = 3500
"""Characters in one message of the thread."""


def messages(events: Iterable[e.Event]) -> list[Message]:
    """Return the lines for the events, packed into as few messages as possible. Most events have no line."""
    lines = (f"{date(one.at_s, '{time_secs}')} {text}" for one in events if (text := _line(one)))
    return [Message(text=text) for text in packed(lines, LONGEST)]


def _line(event: e.Event) -> str:
    match event:
        case e.Approved():
            return f"approved by {person(event.by)}"
        case e.Started(took_over=True):
            return f"the worker of this job died; restarted on {escape(event.worker)} (attempt {event.attempt})"
        case e.Requeued():
            return f"requeued: {escape(event.reason)}"
        case e.Scaled():
            return f"replicas {event.before} → {event.after}" + (f": {escape(event.reason)}" if event.reason else "")
        case e.Logged():
            return escape(event.line)
        case e.CancelRequested():
            return f"{person(event.by)} requested a stop"
        case _:
            return ""
