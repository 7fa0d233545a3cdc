"""Grammar of Block Kit as tables: blocks and elements, their required and optional fields, and their limits.

The limits come from Slack's reference pages, https://docs.slack.dev/reference/block-kit (blocks, block elements,
composition objects, views). Blocks that are missing here are refused.
"""

from bot.local_slack.chart_kit import CHART
from bot.local_slack.refusal import JSON
from bot.local_slack.schema import (
    Check,
    all_of,
    anything,
    boolean,
    by_type,
    choice,
    integer,
    items,
    remark,
    shape,
    string,
)


def plain(most: int) -> Check:
    """Accept a plain_text object of up to `most` characters."""
    return by_type({"plain_text": shape({"text": string(most)}, {"emoji": boolean})})


def text(most: int) -> Check:
    """Accept a plain_text or mrkdwn object of up to `most` characters."""
    return by_type(
        {
            "plain_text": shape({"text": string(most)}, {"emoji": boolean}),
            "mrkdwn": shape({"text": string(most)}, {"verbatim": boolean}),
        }
    )


ACTION_ID = {"action_id": string(255)}
STYLE = choice("primary", "danger")
CONFIRM = shape({"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)}, {"style": STYLE})
OPTION = shape({"text": text(75), "value": string(150)}, {"description": text(75), "url": string(3000)})
OPTIONS = items(OPTION, most=100)
GROUPS = items(shape({"label": plain(75), "options": OPTIONS}), most=100)
PICTURE = {"image_url": string(3000), "slack_file": shape({}, {"id": string(255), "url": string(3000)})}


def _either(one: str, other: str) -> Check:
    def check(value: object, pointer: str) -> list[str]:
        if isinstance(value, dict) and not (value.get(one) or value.get(other)):
            return [remark(f"must define either `{one}` or `{other}`", f"{pointer}/type")]
        return []

    return check


_FOCUS = {"focus_on_load": boolean}
_PLACEHOLDER = {"placeholder": plain(150)}

BUTTON = shape(
    {"text": plain(75)},
    {
        **ACTION_ID,
        "value": string(2000),
        "url": string(3000),
        "style": STYLE,
        "confirm": CONFIRM,
        "accessibility_label": string(75),
    },
)
OVERFLOW = shape({"options": items(OPTION, most=5)}, {**ACTION_ID, "confirm": CONFIRM})
STATIC_SELECT = all_of(
    _either("options", "option_groups"),
    shape(
        {},
        {
            **ACTION_ID,
            **_PLACEHOLDER,
            **_FOCUS,
            "options": OPTIONS,
            "option_groups": GROUPS,
            "initial_option": OPTION,
            "confirm": CONFIRM,
        },
    ),
)
_TEN_OPTIONS = {"options": items(OPTION, most=10)}
CHECKBOXES = shape(_TEN_OPTIONS, {**ACTION_ID, **_FOCUS, "initial_options": items(OPTION, most=10), "confirm": CONFIRM})
RADIO_BUTTONS = shape(_TEN_OPTIONS, {**ACTION_ID, **_FOCUS, "initial_option": OPTION, "confirm": CONFIRM})
PLAIN_TEXT_INPUT = shape(
    {},
    {
        **ACTION_ID,
        **_PLACEHOLDER,
        **_FOCUS,
        "initial_value": string(3000, least=0),
        "multiline": boolean,
        "min_length": integer(0, 3000),
        "max_length": integer(1, 3000),
        "dispatch_action_config": anything,
    },
)
NUMBER_INPUT = shape(
    {"is_decimal_allowed": boolean},
    {
        **ACTION_ID,
        **_PLACEHOLDER,
        **_FOCUS,
        "initial_value": string(255),
        "min_value": string(255),
        "max_value": string(255),
        "dispatch_action_config": anything,
    },
)
IMAGE_ELEMENT = all_of(_either("image_url", "slack_file"), shape({"alt_text": string(2000, least=0)}, PICTURE))

INTERACTIVE: dict[str, Check] = {
    "button": BUTTON,
    "overflow": OVERFLOW,
    "static_select": STATIC_SELECT,
    "checkboxes": CHECKBOXES,
    "radio_buttons": RADIO_BUTTONS,
}
INPUTS: dict[str, Check] = {
    "plain_text_input": PLAIN_TEXT_INPUT,
    "number_input": NUMBER_INPUT,
    "static_select": STATIC_SELECT,
    "checkboxes": CHECKBOXES,
    "radio_buttons": RADIO_BUTTONS,
}

_BLOCK_ID = {"block_id": string(255)}
_RICH_TEXT_PART = by_type({f"rich_text_{part}": anything for part in ("section", "list", "preformatted", "quote")})
_RICH_TEXT = shape({"elements": items(_RICH_TEXT_PART, most=1000, least=0)}, _BLOCK_ID)

_BLOCKS: dict[str, Check] = {
    "section": all_of(
        _either("text", "fields"),
        shape(
            {},
            {
                **_BLOCK_ID,
                "text": text(3000),
                "fields": items(text(2000), most=10),
                "accessory": by_type({**INTERACTIVE, "image": IMAGE_ELEMENT}),
                "expand": boolean,
            },
        ),
    ),
    "header": shape({"text": plain(150)}, _BLOCK_ID),
    "divider": shape({}, _BLOCK_ID),
    "context": shape(
        {
            "elements": items(
                by_type(
                    {
                        "image": IMAGE_ELEMENT,
                        "mrkdwn": shape({"text": string(3000)}, {"verbatim": boolean}),
                        "plain_text": shape({"text": string(3000)}, {"emoji": boolean}),
                    }
                ),
                most=10,
            )
        },
        _BLOCK_ID,
    ),
    "actions": shape({"elements": items(by_type(INTERACTIVE), most=25)}, _BLOCK_ID),
    "image": all_of(
        _either("image_url", "slack_file"),
        shape({"alt_text": string(2000)}, {**_BLOCK_ID, **PICTURE, "title": plain(2000)}),
    ),
    "input": shape(
        {"label": plain(2000), "element": by_type(INPUTS)},
        {**_BLOCK_ID, "hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "rich_text": _RICH_TEXT,
    "data_visualization": shape({"title": string(50), "chart": CHART}, _BLOCK_ID),
    "table": shape(
        {
            "rows": items(
                items(by_type({"raw_text": shape({"text": string(3000)}), "rich_text": _RICH_TEXT}), most=20), most=100
            )
        },
        {**_BLOCK_ID, "column_settings": items(anything, most=20)},
    ),
}
BLOCK = by_type(_BLOCKS)
_VIEW_BLOCK = by_type({kind: check for kind, check in _BLOCKS.items() if kind != "data_visualization"})

_HIDDEN = {
    "private_metadata": string(3000, least=0),
    "callback_id": string(255, least=0),
    "external_id": string(255, least=0),
}
_VIEW_BLOCKS = items(_VIEW_BLOCK, most=100)

MODAL = shape(
    {"title": plain(24), "blocks": _VIEW_BLOCKS},
    {
        **_HIDDEN,
        "submit": plain(24),
        "close": plain(24),
        "clear_on_close": boolean,
        "notify_on_close": boolean,
        "submit_disabled": boolean,
    },
)
HOME = shape({"blocks": _VIEW_BLOCKS}, _HIDDEN)


def elements_of(block: JSON) -> list[JSON]:
    """Return all interactive elements of a block."""
    found = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
    return [element for element in found if isinstance(element, dict) and element.get("type") in _CLICKABLE]


_CLICKABLE = INTERACTIVE.keys() | INPUTS.keys()
