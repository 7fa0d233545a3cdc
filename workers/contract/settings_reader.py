"""Reader of `seatrial.toml`. Reports all mistakes in it, each with its line."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workers.contract.settings import SettingsError, SettingsFile


def read_settings_file(path: Path) -> SettingsFile:
    """Read and check `path`. Raises SettingsError with the line, field and expectation of every mistake."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        advice = "Set SEATRIAL_CONFIG to the path of your seatrial.toml."
        raise SettingsError((f"{path}: cannot be read: {error.strerror}. {advice}",)) from error
    except UnicodeDecodeError as error:
        raise SettingsError((f"{path}: not valid TOML: byte {error.start} is not UTF-8.",)) from error
    try:
        document = _tuples(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError((f"{path}: not valid TOML: {error}.",)) from error
    try:
        return SettingsFile.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        lines = [(_line(text, [str(part) for part in detail["loc"]]), detail) for detail in error.errors()]
        raise SettingsError(tuple(f"{path}:{line}: {describe_mistake(detail)}" for line, detail in lines)) from error


def _tuples(value: Any) -> Any:
    """Return arrays as tuples, because strict validation does not accept lists for them."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


_EXPECTATIONS = {
    "extra_forbidden": "there is no such setting",
    "missing": "it is missing and has no default",
    "model_type": "it must be a table",
    "dict_type": "it must be a table",
    "tuple_type": "it must be an array, in [ ]",
    "dataclass_exact_type": 'it must be a text, like "1..4"',
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "float_parsing": "it must be a number",
}
"""Sentences instead of pydantic's own about Python; https://docs.pydantic.dev/latest/errors/validation_errors."""


def describe_mistake(detail: Any, *, secret: bool = False) -> str:
    """Return the sentence for one error of pydantic: its field, the expectation and, unless secret, the value."""
    kind = detail["type"]
    expectation = _EXPECTATIONS.get(kind, detail["msg"].removeprefix("Value error, ")).rstrip(".")
    # A sentence with a quotation shows the value already, and a whole table would not help.
    omit = kind in ("missing", "extra_forbidden") or "“" in expectation or isinstance(detail["input"], dict)
    value = "" if secret or omit else f", found {detail['input']!r:.80}"
    field = ".".join(str(part) for part in detail["loc"])
    return f"{field}: {expectation}{value}." if field else f"{expectation}{value}."


_HEADER = re.compile(r"\s*\[+([^\[\]]+)\]")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_.-]|"[^"]*"|'[^']*')+)\s*=""")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _line(text: str, field: list[str]) -> int:
    """Return the line of `field`: of its key, or else of the header of its innermost table."""
    best, deepest, in_text = 1, 0, False
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        was_in_text, in_text = in_text, in_text ^ bool((line.count('"""') + line.count("'''")) % 2)
        if was_in_text:
            continue
        if match := _HEADER.match(line):
            here = table = _key(match[1])
        elif match := _KEY.match(line):
            here = table + _key(match[1])
        else:
            continue
        if len(here) > deepest and here == field[: len(here)]:
            best, deepest = number, len(here)
    return best


def _key(text: str) -> list[str]:
    return [part.strip("\"'") for part in _KEY_PART.findall(text)]
