"""What Slack refuses of a message or a view as a whole: too much of it, none of it, or ids that repeat."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator

from bot.local_slack.block_kit import BLOCK, HOME, MODAL, elements_of
from bot.local_slack.refusal import JSON, Refusal
from bot.local_slack.schema import items, remark

# https://docs.slack.dev/reference/methods/chat.postMessage: longer texts are cut off there; here they are refused,
# because a message that lost its end is a mistake that a test should see.
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
    """Raises the Refusal with which Slack would answer: no_text, msg_too_long, invalid_blocks, msg_blocks_too_long.

    `unknown` are kinds of blocks that this workspace does not have yet.
    """
    if not text and not blocks and not has_files:
        raise Refusal("no_text")
    if len(text) > max_text:
        raise Refusal("msg_too_long")
    if blocks is None:
        return
    if problems := _unknown(blocks, unknown) or _MESSAGE_BLOCKS(blocks, "/blocks") or _too_much_of_it(blocks):
        raise Refusal("invalid_blocks", *problems)
    if sum(len(part) for part in texts_of(blocks)) > MAX_CHARACTERS_IN_BLOCKS:
        raise Refusal("msg_blocks_too_long")


def check_view(view: object, *, kind: str) -> JSON:
    """Returns the view if Slack would take it as a `modal` or `home`; otherwise raises its Refusal."""
    if not isinstance(view, dict):
        raise Refusal("invalid_arguments", remark("must provide an object", "/view"))
    if view.get("type") != kind:
        raise Refusal("invalid_arguments", remark(f"unsupported type: {view.get('type')}", "/view/type"))
    problems = (HOME if kind == "home" else MODAL)(view, "/view") or _repeated_ids(view["blocks"], "/view/blocks")
    if not problems and "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
        problems = [remark("missing required field: submit", "/view")]
    if problems:
        raise Refusal("invalid_arguments", *problems)
    if len(json.dumps(view).encode()) > MAX_VIEW_BYTES:
        raise Refusal("view_too_large")
    return view


def with_ids(blocks: list[JSON]) -> list[JSON]:
    """Returns a copy in which every block has a block_id and every element an action_id, as Slack fills them in."""
    copy: list[JSON] = json.loads(json.dumps(blocks))
    for block in copy:
        block.setdefault("block_id", secrets.token_urlsafe(4)[:5])
        for element in elements_of(block):
            element.setdefault("action_id", secrets.token_urlsafe(4)[:5])
    return copy


def texts_of(value: object) -> Iterator[str]:
    """Yields every text that a reader would see in blocks, in order."""
    if isinstance(value, list):
        for part in value:
            yield from texts_of(part)
    elif isinstance(value, dict):
        # A chart's title is a plain string.
        yield from (value[name] for name in ("title", "text") if isinstance(value.get(name), str))
        for name, part in value.items():
            # A confirmation opens only when its button is pressed, and options when their menu is.
            if isinstance(part, dict | list) and name not in ("confirm", "options", "option_groups"):
                yield from texts_of(part)


def _unknown(blocks: list[JSON], kinds: frozenset[str]) -> list[str]:
    found = [(index, block.get("type")) for index, block in enumerate(blocks) if isinstance(block, dict)]
    return [
        remark(f"unsupported type: {kind}", f"/blocks/{index}/type")
        for index, kind in found
        if isinstance(kind, str) and kind in kinds
    ]


def _too_much_of_it(blocks: list[JSON]) -> list[str]:
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
