"""Checks of whole messages and views: size, missing content, and repeated ids."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator

from bot.local_slack.block_kit import BLOCK, HOME, MODAL, elements_of
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.schema import items, remark

# https://docs.slack.dev/reference/methods/chat.postMessage: Slack truncates longer texts. The local Slack refuses them,
# because a test should notice a truncated message.
MAX_TEXT = 40_000
# https://docs.slack.dev/reference/methods/chat.update: "msg_too_long".
MAX_UPDATED_TEXT = 4_000
MAX_BLOCKS = 50
# Slack refuses a third: https://github.com/vercel/chat/pull/696.
MAX_CHARTS = 2
# Not documented; measured by users as 13,200 to 13,300 (https://github.com/slackapi/bolt-js/issues/2509).
MAX_CHARACTERS_IN_BLOCKS = 13_000
# https://docs.slack.dev/reference/methods/views.open: "view_too_large".
MAX_VIEW_BYTES = 250_000

_MESSAGE_BLOCKS = items(BLOCK, most=MAX_BLOCKS, least=0)


def check_message(
    *,
    text: str,
    blocks: list[JSON] | None,
    max_text: int = MAX_TEXT,
    has_files: bool = False,
    unknown: frozenset[str] = frozenset(),
) -> None:
    """Raise SlackRefusal for a message that Slack would refuse.

    The errors are no_text, msg_too_long, invalid_blocks and msg_blocks_too_long. `unknown` are types of blocks that
    this workspace does not have.
    """
    if not text and not blocks and not has_files:
        raise SlackRefusal("no_text")
    if len(text) > max_text:
        raise SlackRefusal("msg_too_long")
    if blocks is None:
        return
    if problems := _unknown(blocks, unknown) or _MESSAGE_BLOCKS(blocks, "/blocks") or _message_problems(blocks):
        raise SlackRefusal("invalid_blocks", *problems)
    if sum(len(part) for part in texts_of(blocks)) > MAX_CHARACTERS_IN_BLOCKS:
        raise SlackRefusal("msg_blocks_too_long")


def check_view(view: object, *, kind: str) -> JSON:
    """Return the view if Slack would accept it as a `modal` or `home`. Raises SlackRefusal otherwise."""
    if not isinstance(view, dict):
        raise SlackRefusal("invalid_arguments", remark("must provide an object", "/view"))
    if view.get("type") != kind:
        raise SlackRefusal("invalid_arguments", remark(f"unsupported type: {view.get('type')}", "/view/type"))
    problems = (HOME if kind == "home" else MODAL)(view, "/view") or _repeated_ids(view["blocks"], "/view/blocks")
    if not problems and "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
        problems = [remark("missing required field: submit", "/view")]
    if problems:
        raise SlackRefusal("invalid_arguments", *problems)
    if len(json.dumps(view).encode()) > MAX_VIEW_BYTES:
        raise SlackRefusal("view_too_large")
    return view


def with_ids(blocks: list[JSON]) -> list[JSON]:
    """Return a copy with missing block_ids and action_ids filled in, as Slack does."""
    copy: list[JSON] = json.loads(json.dumps(blocks))
    for block in copy:
        block.setdefault("block_id", secrets.token_urlsafe(4)[:5])
        for element in elements_of(block):
            element.setdefault("action_id", secrets.token_urlsafe(4)[:5])
    return copy


def texts_of(value: object) -> Iterator[str]:
    """Yield the visible texts of blocks, in order."""
    if isinstance(value, list):
        for part in value:
            yield from texts_of(part)
    elif isinstance(value, dict):
        # A chart's title is a plain string.
        yield from (value[name] for name in ("title", "text") if isinstance(value.get(name), str))
        for name, part in value.items():
            # Confirmations and options are visible only after a press.
            if isinstance(part, dict | list) and name not in ("confirm", "options", "option_groups"):
                yield from texts_of(part)


def _unknown(blocks: list[JSON], kinds: frozenset[str]) -> list[str]:
    found = [(index, block.get("type")) for index, block in enumerate(blocks) if isinstance(block, dict)]
    return [
        remark(f"unsupported type: {kind}", f"/blocks/{index}/type")
        for index, kind in found
        if isinstance(kind, str) and kind in kinds
    ]


def _message_problems(blocks: list[JSON]) -> list[str]:
    if sum(block["type"] == "data_visualization" for block in blocks) > MAX_CHARTS:
        return [remark(f"no more than {MAX_CHARTS} data_visualization blocks allowed", "/blocks")]
    return _repeated_ids(blocks, "/blocks")


def _repeated_ids(blocks: list[JSON], pointer: str) -> list[str]:
    block_ids = Counter(block["block_id"] for block in blocks if "block_id" in block)
    problems = [remark(f"`block_id` is not unique: {id_}", pointer) for id_, count in block_ids.items() if count > 1]
    for index, block in enumerate(blocks):
        action_ids = Counter(one["action_id"] for one in elements_of(block) if "action_id" in one)
        problems += [
            remark(f"`action_id` is not unique: {id_}", f"{pointer}/{index}/elements")
            for id_, count in action_ids.items()
            if count > 1
        ]
    return problems
