"""The thread under a card: what happened, a line an event. Pure."""

from collections.abc import Iterable

from bot.blocks import date, escape, packed, person
from workers.contract import events as e

LONGEST = 3500


def lines(happened: Iterable[e.Event]) -> list[str]:
    """A line for each event that people may want to read later; most are on the card already and have none."""
    return [f"{date(event.at_s, '{time_secs}')} {text}" for event in happened if (text := _line(event))]


def posts(texts: Iterable[str]) -> list[str]:
    """The lines, joined to as few messages as hold them."""
    return packed(texts, LONGEST)


def _line(event: e.Event) -> str:
    match event:
        case e.Approved():
            return f"approved by {person(event.by)}"
        case e.Started(took_over=True):
            return f"the worker that ran this died; {escape(event.worker)} takes it up (attempt {event.attempt})"
        case e.Requeued():
            return f"handed back: {escape(event.reason)}"
        case e.Scaled():
            return f"replicas {event.before} → {event.after}" + (f": {escape(event.reason)}" if event.reason else "")
        case e.Logged():
            return escape(event.line)
        case e.CancelRequested():
            return f"{person(event.by)} asked to stop it"
        case _:
            return ""
