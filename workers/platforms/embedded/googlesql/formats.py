"""Formats of dates and times, as far as Google's implementation as WebAssembly has them."""

from typing import Any

from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.nodes import Node, concrete, name_of

WITH_FORMAT = {
    f"{doing}_{type_}" for doing in ("format", "parse") for type_ in ("date", "datetime", "time", "timestamp")
}
"""Functions whose first argument is a format."""
_LACKING = ("%k", "%l")


def with_known_format(name: str, arguments: list[Node]) -> list[Node]:
    """Return the arguments with a format that the implementation knows. Raises Refused if there is none."""
    node = concrete(arguments[0])
    if name_of(node) != "Literal":
        raise missing(f"{name.upper()} with a format that is not a constant")
    parts = _elements(node.value.value.string_value)
    for element in _LACKING:
        if element in parts:
            raise missing(f"The format element {element} of {name.upper()}", "Use %H or %I.")
    if not name.startswith("parse") or "%F" not in parts:
        return arguments
    copy: Any = type(node)()
    copy.CopyFrom(node)
    copy.value.value.string_value = "".join("%Y-%m-%d" if part == "%F" else part for part in parts)
    return [copy, *arguments[1:]]


def _elements(text: str) -> list[str]:
    """Split a format into elements of % and a character, and the characters between them."""
    parts, at = [], 0
    while at < len(text):
        width = 2 if text[at] == "%" else 1
        parts.append(text[at : at + width])
        at += width
    return parts
