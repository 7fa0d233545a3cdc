"""What a member puts into the fields of a view, as Slack hands it on, and what Slack itself complains about."""

from __future__ import annotations

from typing import Any

from bot.local_slack.refusal import JSON, Refusal


def options_of(element: JSON) -> list[JSON]:
    """Returns the options of a menu, those in groups too."""
    groups = element.get("option_groups", [])
    return [*element.get("options", []), *(option for group in groups for option in group["options"])]


def chosen(element: JSON, value: Any) -> JSON:
    """Returns the part of an action or a state that says what was chosen or written; raises invalid_option."""
    match element["type"]:
        case "plain_text_input" | "number_input":
            return {"value": str(value) if value not in (None, "") else None}
        case "checkboxes":
            return {"selected_options": [_option(element, one) for one in value or []]}
        case _:
            return {"selected_option": _option(element, value) if value not in (None, "") else None}


def state_of(blocks: list[JSON], values: JSON) -> tuple[JSON, dict[str, str]]:
    """Returns `state.values` of a view, and by block_id what a member must put right before it can be sent.

    `values` maps block_id → action_id → what was written, or the value(s) of the option(s) chosen; a field that it
    leaves out keeps its initial value.
    """
    state: JSON = {}
    complaints: dict[str, str] = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element, block_id = block["element"], block["block_id"]
        written = values.get(block_id, {}).get(element["action_id"], initial(element))
        state[block_id] = {element["action_id"]: {"type": element["type"], **chosen(element, written)}}
        if complaint := _complaint(block, written):
            complaints[block_id] = complaint
    return state, complaints


def initial(element: JSON) -> Any:
    """Returns what stands in a field before anybody touches it, in the form that `state_of` takes."""
    if "initial_value" in element:
        return element["initial_value"]
    if "initial_option" in element:
        return element["initial_option"]["value"]
    return [option["value"] for option in element.get("initial_options", [])]


def _complaint(block: JSON, written: Any) -> str:
    element = block["element"]
    if written in (None, "", []):
        return "" if block.get("optional") else "Please complete this required field."
    if element["type"] == "plain_text_input":
        if len(written) < element.get("min_length", 0):
            return f"Please write at least {element['min_length']} characters."
        if len(written) > element.get("max_length", 3000):
            return f"Please write at most {element.get('max_length', 3000)} characters."
    if element["type"] == "number_input":
        return _number_complaint(element, str(written))
    return ""


def _number_complaint(element: JSON, written: str) -> str:
    try:
        number = float(written) if element["is_decimal_allowed"] else int(written)
    except ValueError:
        return "Please enter a number." if element["is_decimal_allowed"] else "Please enter a whole number."
    if number < float(element.get("min_value", "-inf")):
        return f"Please enter at least {element['min_value']}."
    if number > float(element.get("max_value", "inf")):
        return f"Please enter at most {element['max_value']}."
    return ""


def _option(element: JSON, value: Any) -> JSON:
    for option in options_of(element):
        if option.get("value") == value:
            return option
    raise Refusal("invalid_option")
