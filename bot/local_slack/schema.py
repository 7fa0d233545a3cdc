"""Checks of JSON values that combine into larger checks. A failed check returns remarks in Slack's wording."""

import math
from collections.abc import Callable, Mapping

# (value, JSON pointer to it) → remarks, empty for a valid value.
Check = Callable[[object, str], list[str]]

_NO_CHECKS: dict[str, Check] = {}


def remark(text: str, pointer: str) -> str:
    """Return a remark in Slack's format."""
    return f"{text} [json-pointer:{pointer}]"


def string(most: int, least: int = 1) -> Check:
    """Accept a string of `least` to `most` characters."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, str):
            return [remark("must be a string", pointer)]
        if len(value) > most:
            return [remark(f"must be less than {most + 1} characters", pointer)]
        if len(value) < least:
            return [remark(f"must be more than {least - 1} characters", pointer)]
        return []

    return check


def boolean(value: object, pointer: str) -> list[str]:
    """Accept true and false."""
    return [] if isinstance(value, bool) else [remark("must be a boolean", pointer)]


def integer(least: int, most: int) -> Check:
    """Accept a whole number from `least` to `most`."""

    def check(value: object, pointer: str) -> list[str]:
        if isinstance(value, bool) or not isinstance(value, int):
            return [remark("must be an integer", pointer)]
        return [] if least <= value <= most else [remark(f"must be from {least} to {most}", pointer)]

    return check


def number(value: object, pointer: str) -> list[str]:
    """Accept a number."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return [] if is_one else [remark("must be a number", pointer)]


def choice(*values: str) -> Check:
    """Accept one of `values`."""

    def check(value: object, pointer: str) -> list[str]:
        return [] if value in values else [remark(f"must be one of: {', '.join(values)}", pointer)]

    return check


def anything(_value: object, _pointer: str) -> list[str]:
    """Accept every value, for parts of Block Kit that are only passed on."""
    return []


def items(each: Check, *, most: int, least: int = 1) -> Check:
    """Accept a list of `least` to `most` values that all pass `each`."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, list):
            return [remark("must be an array", pointer)]
        if len(value) > most:
            return [remark(f"no more than {most} items allowed", pointer)]
        if len(value) < least:
            return [remark(f"no fewer than {least} items allowed", pointer)]
        return [found for index, item in enumerate(value) for found in each(item, f"{pointer}/{index}")]

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] = _NO_CHECKS) -> Check:
    """Accept an object with all `required` properties, any of the `optional` ones, `type`, and no others."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, dict):
            return [remark("must be an object", pointer)]
        found = [remark(f"missing required field: {name}", pointer) for name in required if name not in value]
        for name, part in value.items():
            if known := required.get(name) or optional.get(name):
                found += known(part, f"{pointer}/{name}")
            elif name != "type":
                found.append(remark(f"invalid additional property: {name}", pointer))
        return found

    return check


def by_type(kinds: Mapping[str, Check]) -> Check:
    """Accept an object that passes the check of its `type`."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, dict):
            return [remark("must be an object", pointer)]
        kind = value.get("type")
        if kind is None:
            return [remark("missing required field: type", pointer)]
        if not isinstance(kind, str) or kind not in kinds:
            return [remark(f"unsupported type: {kind}", f"{pointer}/type")]
        return kinds[kind](value, pointer)

    return check


def all_of(*checks: Check) -> Check:
    """Accept a value that passes all checks. Return the remarks of the first check that fails."""

    def check(value: object, pointer: str) -> list[str]:
        return next((found for one in checks if (found := one(value, pointer))), [])

    return check
