"""Values of a view's input fields: their form in payloads, and Slack's own validation."""

from typing import Any

from bot.local_slack.refusal import JSON, SlackRefusal


def options_of(element: JSON) -> list[JSON]:
    """Return the options of a menu, including those in groups."""
    groups = element.get("option_groups", [])
    return [*element.get("options", []), *(option for group in groups for option in group["options"])]


def selection(element: JSON, value: Any) -> JSON:
    """Return the value or selection of an element, as in an action or a state. Raises invalid_option."""
    match element["type"]:
        case "plain_text_input" | "number_input":
            return {"value": str(value) if value not in (None, "") else None}
        case "checkboxes":
            return {"selected_options": [_option(element, one) for one in value or []]}
        case _:
            return {"selected_option": _option(element, value) if value not in (None, "") else None}


def state_of(blocks: list[JSON], values: JSON) -> tuple[JSON, dict[str, str]]:
    """Return `state.values` of a view, and the input errors by block_id.

    `values` maps block_id → action_id → the text, or the value or values of the chosen options. Other fields keep
    their initial values.
    """
    state: JSON = {}
    errors: dict[str, str] = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element, block_id = block["element"], block["block_id"]
        value = values.get(block_id, {}).get(element["action_id"], initial(element))
        state[block_id] = {element["action_id"]: {"type": element["type"], **selection(element, value)}}
        if error := _input_error(block, value):
            errors[block_id] = error
    return state, errors


def initial(element: JSON) -> Any:
    """Return a field's initial value, in the form that `state_of` accepts."""
    if "initial_value" in element:
        return element["initial_value"]
    if "initial_option" in element:
        return element["initial_option"]["value"]
    return [option["value"] for option in element.get("initial_options", [])]


def _input_error(block: JSON, value: Any) -> str:
    element = block["element"]
    if value in (None, "", []):
        return "" if block.get("optional") else "Please complete this required field."
    if element["type"] == "plain_text_input":
        if len(value) < element.get("min_length", 0):
            return f"Please write at least {element['min_length']} characters."
        if len(value) > element.get("max_length", 3000):
            return f"Please write at most {element.get('max_length', 3000)} characters."
    if element["type"] == "number_input":
        return _number_error(element, str(value))
    return ""


def _number_error(element: JSON, value: str) -> str:
    try:
        number = float(value) if element["is_decimal_allowed"] else int(value)
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
    raise SlackRefusal("invalid_option")
