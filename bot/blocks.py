"""Builders of Slack's Block Kit that apply Slack's limits. Cards and views build their messages with them.

Limits: https://docs.slack.dev/reference/block-kit/blocks and …/block-elements/button-element.
"""

import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Block = dict[str, Any]

SECTION_TEXT = 3000
HEADER_TEXT = 150
FIELD_TEXT = 2000
MOST_FIELDS = 10
BUTTON_TEXT = 75
CONFIRM_TEXT = 300
MOST_BLOCKS = 50
FALLBACK_TEXT = 3000
WHOLE_MESSAGE = 12_000
"""Characters in all blocks together. At about 13,000, valid blocks fail with msg_blocks_too_long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message for Slack. `text` repeats the blocks for notifications and screen readers, which read only the text.

    Source: https://docs.slack.dev/reference/methods/chat.postMessage, "Accessibility considerations".
    """

    text: str
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button. `value` is only the id of a job or schedule, on which `action` acts."""

    text: str
    action: str
    value: str
    style: Literal["primary", "danger"] | None = None
    confirm: str = ""


def message(blocks: Iterable[Block]) -> Message:
    """Return a message within Slack's limits. Blocks that do not fit are left out, and the last block says so."""
    fitting: list[Block] = []
    room = WHOLE_MESSAGE
    for block in blocks:
        room -= len(str(block))
        if room < 0 or len(fitting) == MOST_BLOCKS - 1:
            fitting.append(context("… the rest is too long for one message."))
            break
        fitting.append(block)
    return Message(text="".join(packed(_texts(fitting), FALLBACK_TEXT)[:1]), blocks=tuple(fitting))


def _texts(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the texts of the blocks without buttons, which a screen reader finds by itself."""
    for block in blocks:
        parts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        yield from (part["text"] for part in parts if part and part["type"] != "button")


def digest(message: Message) -> str:
    """Return a short hash of the message."""
    return hashlib.sha256(repr(message).encode()).hexdigest()[:16]


def _mrkdwn(text: str, longest: int = SECTION_TEXT) -> Block:
    return {"type": "mrkdwn", "text": cut(text, longest)}


def _plain_text(text: str, longest: int = BUTTON_TEXT) -> Block:
    return {"type": "plain_text", "text": cut(text, longest)}


def section(text: str) -> Block:
    """Return a paragraph of mrkdwn."""
    return {"type": "section", "text": _mrkdwn(text)}


def paragraphs(lines: Iterable[str]) -> list[Block]:
    """Pack whole lines into as few paragraphs as possible."""
    return [section(text) for text in packed(lines, SECTION_TEXT)]


def packed(lines: Iterable[str], longest: int) -> list[str]:
    """Pack lines into as few texts of up to `longest` characters as possible."""
    joined: list[str] = []
    for line in lines:
        if joined and len(joined[-1]) + 1 + len(line) <= longest:
            joined[-1] += "\n" + line
        else:
            joined.append(cut(line, longest))
    return joined


def header(text: str) -> Block:
    """Return a line in large letters, without mark-up."""
    return {"type": "header", "text": _plain_text(text, HEADER_TEXT)}


def preformatted(text: str) -> Block:
    """Return lines in a fixed-width font. Backticks, which would end it, become apostrophes."""
    return section(f"```\n{cut(_as_code(text), SECTION_TEXT - 8)}\n```")


def fields(texts: Sequence[str]) -> Block:
    """Return up to ten short texts in two columns."""
    return {"type": "section", "fields": [_mrkdwn(text, FIELD_TEXT) for text in texts[:MOST_FIELDS]]}


def context(text: str) -> Block:
    """Return a line in small letters."""
    return {"type": "context", "elements": [_mrkdwn(text)]}


def actions(buttons: Sequence[Button]) -> Block:
    """Return a row of buttons."""
    return {"type": "actions", "elements": [_button(button) for button in buttons]}


def _button(button: Button) -> Block:
    text = _plain_text(button.text)
    element: Block = {"type": "button", "action_id": button.action, "text": text, "value": button.value}
    if button.style:
        element["style"] = button.style
    if button.confirm:
        element["confirm"] = {
            "title": _plain_text("Are you sure?"),
            "text": _plain_text(button.confirm, CONFIRM_TEXT),
            "confirm": _plain_text(button.text),
            "deny": _plain_text("Not now"),
        }
    return element


_MARK_UP = re.compile(r"`|(?<!\w)[*_~]|[*_~](?!\w)")


def escape(text: str) -> str:
    """Escape foreign text for mrkdwn: https://docs.slack.dev/messaging/formatting-message-text#escaping.

    A word joiner after a backtick, and after an asterisk, underscore or tilde at a word's edge, prevents mark-up.
    """
    return _MARK_UP.sub("\\g<0>\u2060", html.escape(text, quote=False))


def cut(text: str, longest: int) -> str:
    """Shorten `text` to `longest` characters, with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def person(user_id: str) -> str:
    """Return a mention of a member, or the escaped text if it is no member id, such as a group's handle."""
    return f"<@{user_id}>" if user_id[:1] in ("U", "W") and user_id.isalnum() else escape(user_id)


_YEAR_1_S, _YEAR_9999_S = -62_135_596_800, 253_402_300_799


def date(at_s: float, how: str = "{date_short_pretty} {time}") -> str:
    """Return a time that Slack shows in the reader's time zone. `how` is a format of Slack's date tokens.

    A time outside of the years 1 to 9999, which only a damaged record has, is shown as the nearest one inside.
    """
    at_s = min(max(at_s, _YEAR_1_S), _YEAR_9999_S)
    fallback = datetime.fromtimestamp(int(at_s), UTC).replace(tzinfo=None).isoformat(" ")
    return f"<!date^{int(at_s)}^{how}|{fallback} UTC>"


def code(text: str) -> str:
    """Return text as code. Backticks, which would end it, become apostrophes."""
    return "`" + _as_code(text).replace("\n", " ") + "`"


def _as_code(text: str) -> str:
    return html.escape(text.replace("`", "'"), quote=False)
