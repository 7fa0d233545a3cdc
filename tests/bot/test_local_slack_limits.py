"""Limits of messages, blocks and views in the local Slack."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bot.local_slack.limits import check_message, check_view, texts_of, with_ids
from bot.local_slack.refusal import SlackRefusal


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def section(text: str = "fine", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(text), **more}


def button(label: str = "Go", **more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain(label), **more}


def options(count: int) -> list[dict[str, Any]]:
    return [{"text": plain(f"option {index}"), "value": str(index)} for index in range(count)]


def actions(*elements: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


AT_THE_LIMIT = {
    "section": section("x" * 3000),
    "fields": {"type": "section", "fields": [mrkdwn("x" * 2000)] * 6 + [plain("y")] * 4},
    "header": {"type": "header", "text": plain("x" * 150)},
    "context": {"type": "context", "elements": [mrkdwn("x")] * 10},
    "picture in context": {"type": "context", "elements": [{"type": "image", "image_url": "http://x", "alt_text": ""}]},
    "actions": actions(*[button(action_id=str(index)) for index in range(25)]),
    "button": actions(button("x" * 75, value="v" * 2000, action_id="a" * 255, style="danger")),
    "select": actions({"type": "static_select", "placeholder": plain("pick"), "options": options(100)}),
    "overflow": section(accessory={"type": "overflow", "options": options(5)}),
    "image": {"type": "image", "slack_file": {"id": "F1"}, "alt_text": "chart", "title": plain("Chart")},
    "divider": {"type": "divider"},
    "rich text": {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]},
    "table": {"type": "table", "rows": [[{"type": "raw_text", "text": "p95"}, {"type": "raw_text", "text": "12 ms"}]]},
}


@pytest.mark.parametrize("block", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_block_at_its_limits_is_accepted(block: dict[str, Any]) -> None:
    check_message(text="fallback", blocks=[block])


REFUSED_BLOCKS = {
    "long section": (section("x" * 3001), "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
    "empty text": (section(""), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    "section without text": (
        {"type": "section"},
        "must define either `text` or `fields` [json-pointer:/blocks/0/type]",
    ),
    "long field": (
        {"type": "section", "fields": [mrkdwn("x" * 2001)]},
        "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
    ),
    "11 fields": (
        {"type": "section", "fields": [mrkdwn("x")] * 11},
        "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
    ),
    "long header": (
        {"type": "header", "text": plain("x" * 151)},
        "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
    ),
    "mrkdwn header": (
        {"type": "header", "text": mrkdwn("x")},
        "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
    ),
    "11 in context": (
        {"type": "context", "elements": [mrkdwn("x")] * 11},
        "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
    ),
    "button in context": (
        {"type": "context", "elements": [button()]},
        "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
    ),
    "26 actions": (actions(*[button()] * 26), "no more than 25 items allowed [json-pointer:/blocks/0/elements]"),
    "no actions": (actions(), "no fewer than 1 items allowed [json-pointer:/blocks/0/elements]"),
    "long button": (
        actions(button("x" * 76)),
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    "long value": (
        actions(button(value="x" * 2001)),
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    "long action_id": (
        actions(button(action_id="x" * 256)),
        "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
    ),
    "unknown style": (
        actions(button(style="blue")),
        "must be one of: primary, danger [json-pointer:/blocks/0/elements/0/style]",
    ),
    "101 options": (
        actions({"type": "static_select", "options": options(101)}),
        "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    "select without options": (
        actions({"type": "static_select"}),
        "must define either `options` or `option_groups` [json-pointer:/blocks/0/elements/0/type]",
    ),
    "unknown block": ({"type": "dog"}, "unsupported type: dog [json-pointer:/blocks/0/type]"),
    "no type": ({"text": plain("x")}, "missing required field: type [json-pointer:/blocks/0]"),
    "not an object": ("section", "must be an object [json-pointer:/blocks/0]"),
    "missing text": ({"type": "header"}, "missing required field: text [json-pointer:/blocks/0]"),
    "misspelt property": (section(acessory=button()), "invalid additional property: acessory [json-pointer:/blocks/0]"),
    "text without object": ({"type": "section", "text": "x"}, "must be an object [json-pointer:/blocks/0/text]"),
    "image without alt_text": (
        {"type": "image", "image_url": "http://x"},
        "missing required field: alt_text [json-pointer:/blocks/0]",
    ),
    "repeated action_id": (
        actions(button(action_id="a"), button(action_id="a")),
        "`action_id` is not unique: a [json-pointer:/blocks/0/elements]",
    ),
}


@pytest.mark.parametrize(("block", "problem"), REFUSED_BLOCKS.values(), ids=REFUSED_BLOCKS)
def test_block_beyond_its_limits_is_refused(block: Any, problem: str) -> None:
    """The answer is invalid_blocks, and its remark points at the fault."""
    with pytest.raises(SlackRefusal) as caught:
        check_message(text="fallback", blocks=[block])
    assert (caught.value.error, caught.value.problems) == ("invalid_blocks", (problem,))


REFUSED_MESSAGES = {
    "no text": ("no_text", "", None),
    "no blocks and no text": ("no_text", "", []),
    "long text": ("msg_too_long", "x" * 40_001, None),
    "51 blocks": ("invalid_blocks", "", [{"type": "divider"}] * 51),
    "long blocks": ("msg_blocks_too_long", "", [section("x" * 2999)] * 5),
    "repeated block_id": ("invalid_blocks", "", [section(block_id="b"), section(block_id="b")]),
}


@pytest.mark.parametrize(("error", "text", "blocks"), REFUSED_MESSAGES.values(), ids=REFUSED_MESSAGES)
def test_message_beyond_its_limits_is_refused(error: str, text: str, blocks: list[Any] | None) -> None:
    with pytest.raises(SlackRefusal) as caught:
        check_message(text=text, blocks=blocks)
    assert caught.value.error == error


@pytest.mark.parametrize("text", ["x" * 40_000, "🚢", "\u202eright to left", "<!channel>"])
def test_any_text_within_the_limit_is_accepted(text: str) -> None:
    check_message(text=text, blocks=None)


def modal(**more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": plain("Load test"), "blocks": [section()], **more}


def test_view_at_its_limits_is_accepted() -> None:
    check_view(modal(title=plain("x" * 24), blocks=[section()] * 100, private_metadata="x" * 3000), kind="modal")
    check_view({"type": "home", "blocks": [section()] * 100}, kind="home")


REFUSED_VIEWS = {
    "no object": ("invalid_arguments", "modal"),
    "home instead of modal": ("invalid_arguments", {"type": "home", "blocks": [section()]}),
    "long title": ("invalid_arguments", modal(title=plain("x" * 25))),
    "101 blocks": ("invalid_arguments", modal(blocks=[section()] * 101)),
    "long metadata": ("invalid_arguments", modal(private_metadata="x" * 3001)),
    "no title": ("invalid_arguments", {"type": "modal", "blocks": [section()]}),
    "input without submit": (
        "invalid_arguments",
        modal(blocks=[{"type": "input", "label": plain("Rate"), "element": {"type": "plain_text_input"}}]),
    ),
    "too large": ("view_too_large", modal(blocks=[section("x" * 3000)] * 100)),
}


@pytest.mark.parametrize(("error", "view"), REFUSED_VIEWS.values(), ids=REFUSED_VIEWS)
def test_view_beyond_its_limits_is_refused(error: str, view: Any) -> None:
    with pytest.raises(SlackRefusal) as caught:
        check_view(view, kind="modal")
    assert caught.value.error == error


def test_missing_ids_are_filled_in_a_copy() -> None:
    """The app's own ids are kept."""
    given_blocks = [section(), actions(button(action_id="mine"))]
    filled = with_ids(given_blocks)
    assert filled[0]["block_id"] and filled[1]["elements"][0]["action_id"] == "mine"
    assert "block_id" not in given_blocks[0]


def test_visible_texts_come_in_reading_order() -> None:
    """Texts of a confirmation are not visible."""
    confirm = {"title": plain("Sure?"), "text": plain("really"), "confirm": plain("Yes"), "deny": plain("No")}
    blocks = [section("one", accessory=button("two")), actions(button("three", confirm=confirm))]
    assert list(texts_of(blocks)) == ["one", "two", "three"]


NAMES = ["type", "text", "elements", "accessory", "fields", "options"]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON_VALUES, max_size=3))
def test_any_json_as_blocks_is_accepted_or_refused(blocks: list[Any]) -> None:
    try:
        check_message(text="x", blocks=blocks)
    except SlackRefusal as refusal:
        assert json.dumps(refusal.as_json())


@given(JSON_VALUES)
def test_any_invalid_json_as_view_is_refused(view: Any) -> None:
    if isinstance(view, dict):
        view |= {"type": "modal", "title": plain("x"), "blocks": [view]}
    with pytest.raises(SlackRefusal, match="invalid_arguments"):
        check_view(view, kind="modal")
