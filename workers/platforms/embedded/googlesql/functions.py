"""The list of functions that a query may use: functions.toml, one row per function."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A row of functions.toml.

    * `native`: kinds of the arguments, such as "INT64, INT64", "INT64 ×" for one or more or "*" for any, to an
      expression of DuckDB with {0}, {1}, … Calls with other arguments are evaluated by Google's implementation.
    * `vector`: kinds of the arguments to the name of a function in vectors.py, which is tried first.
    * `text`: how GoogleSQL writes a call, if not as a name with arguments in parentheses, for each number of arguments.
    * `duckdb_only`: Google's implementation cannot evaluate it.
    * `signatures`: types of arguments and result of a function that Google's implementation lacks (more_functions).
    * `cases`: expressions that the tests compare with Google's implementation.
    * `documented`: expressions with the text of their values in BigQuery's reference, which the tests compare.
    """

    native: Mapping[str, str] = field(default_factory=dict)
    vector: Mapping[str, str] = field(default_factory=dict)
    text: tuple[str, ...] = ()
    duckdb_only: bool = False
    signatures: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    documented: Mapping[str, str] = field(default_factory=dict)

    def googlesql(self, name: str, argument_names: list[str]) -> str:
        """Return GoogleSQL's text of a call, with {0}, {1}, … for its arguments. A positional one has the name ""."""
        count = len(argument_names)
        for form in self.text:
            if f"{{{count - 1}}}" in form and f"{{{count}}}" not in form:
                return form
        arguments = (f"{key} => {{{at}}}" if key else f"{{{at}}}" for at, key in enumerate(argument_names))
        return f"{name.upper()}({', '.join(arguments)})"

    def counterpart(self, kinds: list[str]) -> str:
        """Return DuckDB's expression for these kinds of arguments, or "" if there is none."""
        found = self.native.get(", ".join(kinds)) or self.native.get("*")
        return found or (self.native.get(f"{kinds[0]} ×", "") if len(set(kinds)) == 1 else "")


@lru_cache(maxsize=1)
def functions() -> Mapping[str, Mapping[str, Function]]:
    """Return the functions by section ("scalar", "aggregate", "window") and by name."""
    document = tomllib.loads(Path(__file__).with_name("functions.toml").read_text())
    return TypeAdapter(dict[str, dict[str, Function]]).validate_python(document)


def filled(template: str, arguments: list[str], **keywords: str) -> str:
    """Fill {0}, {1}, … and the keywords; {* OR } stands for all arguments with " OR " between them."""
    before, star, rest = template.partition("{*")
    if star:
        separator, _, after = rest.partition("}")
        template = before + separator.join(f"{{{at}}}" for at in range(len(arguments))) + after
    return template.format(*arguments, **keywords)
