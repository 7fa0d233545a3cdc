"""Formats of dates and times, as far as Google's implementation as WebAssembly has them."""

from typing import Any

from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.nodes import Node, concrete, name_of
from workers.platforms.embedded.googlesql.types import simple
from workers.platforms.embedded.googlesql.values import in_googlesql

WITH_FORMAT = {
    f"{doing}_{type_}" for doing in ("format", "parse") for type_ in ("date", "datetime", "time", "timestamp")
}
"""Functions whose first argument is a format."""
_PADDED_HOURS = {"%k": "%H", "%l": "%I"}
"""Hours padded with a blank, which the implementation lacks, and those padded with a zero."""


def with_known_format(name: str, arguments: list[Node]) -> list[Node]:
    """Return the arguments with a format that the implementation knows. Raises Refused if there is none."""
    node = concrete(arguments[0])
    if name_of(node) != "Literal":
        raise missing(f"{name.upper()} with a format that is not a constant")
    parts = _elements(node.value.value.string_value)
    if not name.startswith("parse"):
        return arguments
    for element, other in _PADDED_HOURS.items():
        if element in parts:
            raise missing(f"The format element {element} of {name.upper()}", f"Use {other}.")
    if "%F" not in parts:
        return arguments
    copy: Any = type(node)()
    copy.CopyFrom(node)
    copy.value.value.string_value = "".join("%Y-%m-%d" if part == "%F" else part for part in parts)
    return [copy, *arguments[1:]]


def in_pieces(name: str, arguments: list[Node]) -> str:
    """Return GoogleSQL's text of a call whose format has an hour padded with a blank, or "" for other formats.

    The arguments are {0}, {1}, …; the pieces of the format are literals in the text.
    """
    parts = _elements(concrete(arguments[0]).value.value.string_value)
    if not set(parts) & _PADDED_HOURS.keys():
        return ""
    rest = "".join(f", {{{at}}}" for at in range(1, len(arguments)))

    def call(format_: str) -> str:
        literal = in_googlesql(format_, simple("STRING")).replace("{", "{{").replace("}", "}}")
        return f"{name.upper()}({literal}{rest})"

    pieces = [
        f"FORMAT('%2d', CAST({call(_PADDED_HOURS[part])} AS INT64))" if part in _PADDED_HOURS else call(part)
        for part in parts
    ]
    return f"CONCAT({', '.join(pieces)})"


def _elements(text: str) -> list[str]:
    """Split a format into elements of % and a character, and the characters between them."""
    parts, at = [], 0
    while at < len(text):
        width = 2 if text[at] == "%" else 1
        parts.append(text[at : at + width])
        at += width
    return parts
