"""Slack's Block Kit, as far as it is used here, and Slack's limits, once.

Limits: https://docs.slack.dev/reference/block-kit/blocks and …/block-elements/button-element.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Block = dict[str, Any]
_MARK_UP = re.compile(r"`|(?<!\w)[*_~]|[*_~](?!\w)")

SECTION_TEXT = 3000
HEADER_TEXT = 150
FIELD_TEXT = 2000
MOST_FIELDS = 10
BUTTON_TEXT = 75
MOST_BLOCKS = 50
FALLBACK_TEXT = 3000
WHOLE_MESSAGE = 12_000
"""Characters in all blocks together: about 13,000 fail with msg_blocks_too_long though each block is legal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What is posted. `blocks` are what is seen, and `text` the same for notifications and screen readers: these read
    nothing else (https://docs.slack.dev/reference/methods/chat.postMessage, "Accessibility considerations").
    """

    text: str
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button: `action` says what, `value` about which job or schedule, and nothing else."""

    text: str
    action: str
    value: str
    style: Literal["primary", "danger"] | None = None
    confirm: str = ""


def message(blocks: Iterable[Block]) -> Message:
    """A Message within Slack's limits: what does not fit is left out, and the last block says so."""
    kept: list[Block] = []
    room = WHOLE_MESSAGE
    for block in blocks:
        room -= len(str(block))
        if room < 0 or len(kept) == MOST_BLOCKS - 1:
            kept.append(context("… the rest is too long for one message."))
            break
        kept.append(block)
    return Message(text="".join(packed(_texts(kept), FALLBACK_TEXT)[:1]), blocks=tuple(kept))


def _texts(blocks: Iterable[Block]) -> Iterator[str]:
    """All that can be read in them, but for buttons, which a screen reader finds by itself."""
    for block in blocks:
        parts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        yield from (part["text"] for part in parts if part and part["type"] != "button")


def digest(shown: Message) -> str:
    """What tells one message from another."""
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def section(text: str) -> Block:
    """A paragraph of mrkdwn."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, SECTION_TEXT)}}


def paragraphs(lines: Iterable[str]) -> list[Block]:
    """Lines in as few paragraphs as hold them whole."""
    return [section(text) for text in packed(lines, SECTION_TEXT)]


def packed(lines: Iterable[str], longest: int) -> list[str]:
    """Lines, joined to as few texts of up to `longest` characters as hold them."""
    joined: list[str] = []
    for line in lines:
        if joined and len(joined[-1]) + 1 + len(line) <= longest:
            joined[-1] += "\n" + line
        else:
            joined.append(cut(line, longest))
    return joined


def header(text: str) -> Block:
    """A line in large letters, without mark-up."""
    return {"type": "header", "text": {"type": "plain_text", "text": cut(text, HEADER_TEXT)}}


def preformatted(text: str) -> Block:
    """Lines whose columns stay under each other; what would end them is taken out."""
    plain = text.replace("`", "'").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return section(f"```\n{cut(plain, SECTION_TEXT - 8)}\n```")


def fields(texts: Sequence[str]) -> Block:
    """Up to ten short texts in two columns."""
    shown = [{"type": "mrkdwn", "text": cut(text, FIELD_TEXT)} for text in texts[:MOST_FIELDS]]
    return {"type": "section", "fields": shown}


def context(text: str) -> Block:
    """A line of small print."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(text, SECTION_TEXT)}]}


def actions(buttons: Sequence[Button]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": [_button(button) for button in buttons]}


def _button(button: Button) -> Block:
    element: Block = {
        "type": "button",
        "action_id": button.action,
        "text": {"type": "plain_text", "text": cut(button.text, BUTTON_TEXT)},
        "value": button.value,
    }
    if button.style:
        element["style"] = button.style
    if button.confirm:
        element["confirm"] = {
            "title": {"type": "plain_text", "text": "Are you sure?"},
            "text": {"type": "plain_text", "text": button.confirm},
            "confirm": {"type": "plain_text", "text": button.text},
            "deny": {"type": "plain_text", "text": "Not now"},
        }
    return element


def escape(text: str) -> str:
    """What anyone typed, so that Slack shows it and does nothing with it.

    https://docs.slack.dev/messaging/formatting-message-text#escaping; besides, a word joiner takes from a backtick,
    and from an asterisk, underscore or tilde at a word's edge, its power to begin mark-up.
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARK_UP.sub("\\g<0>\u2060", text)


def cut(text: str, longest: int) -> str:
    """`text`, or as much of it as fits with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def person(user_id: str) -> str:
    """A mention of a member; what is no id of Slack's (a schedule, say) stands as it is."""
    return f"<@{user_id}>" if user_id[:1] in ("U", "W") and user_id.isalnum() else escape(user_id)


def date(at_s: float, how: str = "{date_short_pretty} {time}") -> str:
    """A time in each reader's own zone, with its day unless `how` (in Slack's date tokens) says otherwise."""
    fallback = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"<!date^{int(at_s)}^{how}|{fallback}>"


def code(text: str) -> str:
    """Text as code; what would end the code is taken out."""
    plain = text.replace("`", "'").replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"`{plain}`"
