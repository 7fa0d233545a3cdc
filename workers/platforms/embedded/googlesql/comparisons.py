"""Comparisons, and other functions that have a counterpart for some arguments only.

DuckDB holds NaN equal to itself and greater than all else; GoogleSQL's comparisons with it are FALSE.
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#nan_floating_point
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.nodes import Node, concrete, name_of, type_of
from workers.platforms.embedded.googlesql.types import TEXT, holds, kind, simple

if TYPE_CHECKING:
    from workers.platforms.embedded.googlesql.expressions import Expressions

_OPERATORS = {
    "$equal": "=",
    "$not_equal": "<>",
    "$less": "<",
    "$less_or_equal": "<=",
    "$greater": ">",
    "$greater_or_equal": ">=",
}


def _operator(operator: str, name: str) -> "Callable[[Expressions, list[Node]], str]":
    def write(expressions: "Expressions", arguments: list[Node]) -> str:
        left, right = arguments
        if holds(type_of(left), TEXT) or (kind(type_of(left)) == "STRUCT" and holds(type_of(left), {"DOUBLE"})):
            return expressions.evaluated(f"({{0}} {operator} {{1}})", arguments, simple("BOOL"))
        return _compared(operator, name, [expressions.sql(left), expressions.sql(right)], arguments)

    return write


def _compared(operator: str, name: str, texts: list[str], arguments: list[Node]) -> str:
    plain = f"({texts[0]} {operator} {texts[1]})"
    if kind(type_of(arguments[0])) != "DOUBLE":
        return plain
    constants = [_is_number(concrete(node)) for node in arguments]
    if any(constants):
        # NaN is greater than all numbers in DuckDB, so only a column on the greater side needs a look.
        greater = 0 if operator in (">", ">=") else 1 if operator in ("<", "<=") else None
        if greater is None or constants[greater]:
            return plain
        return f"(CASE WHEN isnan({texts[greater]}) THEN FALSE ELSE {plain} END)"
    other = " AND ".join(f"{text} IS NOT NULL" for text in texts)
    found = " OR ".join(f"isnan({text})" for text in texts)
    return f"(CASE WHEN {other} AND ({found}) THEN {'TRUE' if name == '$not_equal' else 'FALSE'} ELSE {plain} END)"


def _is_number(node: Node) -> bool:
    """Return whether the node is a literal other than NaN."""
    return name_of(node) == "Literal" and node.value.value.double_value == node.value.value.double_value


def _between(expressions: "Expressions", arguments: list[Node]) -> str:
    value, low, high = arguments
    return (
        "("
        + " AND ".join(
            (
                COMPARISONS["$greater_or_equal"](expressions, [value, low]),
                COMPARISONS["$less_or_equal"](expressions, [value, high]),
            )
        )
        + ")"
    )


def _in(expressions: "Expressions", arguments: list[Node]) -> str:
    value, *choices = arguments
    if kind(type_of(value)) in ("DOUBLE", "STRUCT", "ARRAY") or kind(type_of(value)) in TEXT:
        return "(" + " OR ".join(COMPARISONS["$equal"](expressions, [value, choice]) for choice in choices) + ")"
    return f"({expressions.sql(value)} IN ({', '.join(expressions.sql(choice) for choice in choices)}))"


def _like(expressions: "Expressions", arguments: list[Node]) -> str:
    """DuckDB has the same wildcards, and no escape by a backslash."""
    text, pattern = (concrete(argument) for argument in arguments)
    is_plain = name_of(pattern) == "Literal" and kind(type_of(pattern)) == "STRING"
    if is_plain and "\\" not in pattern.value.value.string_value:
        return f"({expressions.sql(text)} LIKE {expressions.sql(pattern)})"
    return expressions.evaluated("({0} LIKE {1})", arguments, simple("BOOL"))


def _substr(expressions: "Expressions", arguments: list[Node]) -> str:
    """DuckDB counts characters alike from position 1 on."""
    numbers = [concrete(argument) for argument in arguments[1:]]
    least = (1, 0)
    is_plain = kind(type_of(arguments[0])) == "STRING" and all(
        name_of(number) == "Literal" and number.value.value.int64_value >= least[at]
        for at, number in enumerate(numbers)
    )
    if is_plain and all(number.value.value.WhichOneof("value") for number in numbers):
        return f"substring({', '.join(expressions.sql(argument) for argument in arguments)})"
    placeholders = ", ".join(f"{{{at}}}" for at in range(len(arguments)))
    return expressions.evaluated(f"SUBSTR({placeholders})", arguments, type_of(arguments[0]))


def _distinct(word: str) -> "Callable[[Expressions, list[Node]], str]":
    # IS DISTINCT FROM holds two NaN for equal, as DuckDB does.
    def write(expressions: "Expressions", arguments: list[Node]) -> str:
        if holds(type_of(arguments[0]), TEXT):
            raise missing("IS DISTINCT FROM between values of JSON or INTERVAL")
        return f"({expressions.sql(arguments[0])} {word} {expressions.sql(arguments[1])})"

    return write


def _nullif(expressions: "Expressions", arguments: list[Node]) -> str:
    equal = COMPARISONS["$equal"](expressions, arguments)
    return f"(CASE WHEN {equal} THEN NULL ELSE {expressions.sql(arguments[0])} END)"


def _case_with_value(expressions: "Expressions", arguments: list[Node]) -> str:
    value, rest = arguments[0], arguments[1:]
    pairs = len(rest) // 2
    branches = " ".join(
        f"WHEN {COMPARISONS['$equal'](expressions, [value, rest[2 * at]])} THEN {expressions.sql(rest[2 * at + 1])}"
        for at in range(pairs)
    )
    return f"(CASE {branches} ELSE {expressions.sql(rest[-1]) if len(rest) % 2 else 'NULL'} END)"


def _case(expressions: "Expressions", arguments: list[Node]) -> str:
    pairs = len(arguments) // 2
    branches = " ".join(
        f"WHEN {expressions.sql(arguments[2 * at])} THEN {expressions.sql(arguments[2 * at + 1])}"
        for at in range(pairs)
    )
    return f"(CASE {branches} ELSE {expressions.sql(arguments[-1]) if len(arguments) % 2 else 'NULL'} END)"


COMPARISONS: "dict[str, Callable[[Expressions, list[Node]], str]]" = {
    **{name: _operator(operator, name) for name, operator in _OPERATORS.items()},
    "$between": _between,
    "$in": _in,
    "$is_distinct_from": _distinct("IS DISTINCT FROM"),
    "$is_not_distinct_from": _distinct("IS NOT DISTINCT FROM"),
    "nullif": _nullif,
    "$like": _like,
    "substr": _substr,
    "$case_with_value": _case_with_value,
    "$case_no_value": _case,
}
"""Writers of functions whose text depends on the types of their arguments."""
