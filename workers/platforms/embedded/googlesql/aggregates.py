"""Aggregate and analytic functions as DuckDB's SQL.

Templates in functions.toml have {over} where FILTER or OVER stands, and {distinct} and {order} inside the parentheses.
"""

from typing import TYPE_CHECKING

from workers.platforms.embedded.googlesql.errors import Refused, missing
from workers.platforms.embedded.googlesql.functions import Function, filled, functions
from workers.platforms.embedded.googlesql.nodes import Node, concrete, enum_name, function_name, is_set, type_of
from workers.platforms.embedded.googlesql.ordering import order_by, sort_keys
from workers.platforms.embedded.googlesql.preprocessing import is_preprocessing, write
from workers.platforms.embedded.googlesql.types import array_of, kind, struct_of

if TYPE_CHECKING:
    from workers.platforms.embedded.googlesql.expressions import Expressions

LISTS = {"array_agg", "string_agg", "array_concat_agg"}
"""Aggregates that take ORDER BY and LIMIT."""
_BOUNDARIES = {
    "UNBOUNDED_PRECEDING": "UNBOUNDED PRECEDING",
    "OFFSET_PRECEDING": "{} PRECEDING",
    "CURRENT_ROW": "CURRENT ROW",
    "OFFSET_FOLLOWING": "{} FOLLOWING",
    "UNBOUNDED_FOLLOWING": "UNBOUNDED FOLLOWING",
}


def aggregate(expressions: "Expressions", expression: Node) -> str:
    """Return an aggregate function call."""
    node = concrete(expression)
    name, row, arguments = _row(node, "aggregate")
    if is_set(node.parent, "where_expr") or is_set(node, "having_expr") or node.group_by_list:
        raise missing(f"{name.upper()} with WHERE, HAVING or GROUP BY inside its parentheses")
    limit = expressions.sql(node.limit) if is_set(node, "limit") else ""
    kinds = [kind(type_of(argument)) for argument in arguments]
    template = row.counterpart(kinds)
    if is_set(node, "having_modifier") or not template:
        return _collected(expressions, node, name, arguments)
    texts = [expressions.sql(argument) for argument in arguments]
    if is_preprocessing(name):
        if enum_name(node.parent, "null_handling_modifier") == "RESPECT_NULLS":
            raise missing(f"{name.upper()} with RESPECT NULLS")
        if node.parent.distinct and name != "approx_quantiles":
            raise missing(f"{name.upper()} with DISTINCT")
        return write(expressions, name, arguments, "", distinct=_distinct(node))
    keeps_nulls = name == "array_agg" and enum_name(node.parent, "null_handling_modifier") != "IGNORE_NULLS"
    if name == "string_agg" and kinds[0] != "STRING":
        raise missing("STRING_AGG of BYTES")
    if name in LISTS:
        return _list(name, node, texts, limit, keeps_nulls=keeps_nulls)
    over = "" if keeps_nulls or not _ignores_nulls(node) else f" FILTER (WHERE {texts[0]} IS NOT NULL)"
    return filled(template, texts, over=over, distinct=_distinct(node))


def _row(node: Node, section: str) -> tuple[str, Function, list[Node]]:
    call = node.parent.parent
    name = function_name(call)
    row = functions()[section].get(name)
    if row is None:
        raise missing(f"The function {name.lstrip('$').upper()}")
    if call.error_mode:
        raise missing(f"SAFE.{name.upper()}")
    return name, row, list(call.argument_list)


def _distinct(node: Node) -> str:
    return "DISTINCT " if node.parent.distinct else ""


def _ignores_nulls(node: Node) -> bool:
    return enum_name(node.parent, "null_handling_modifier") == "IGNORE_NULLS"


def _list(name: str, node: Node, texts: list[str], limit: str, *, keeps_nulls: bool) -> str:
    keys = order_by(list(node.order_by_item_list))
    filter_ = "" if keeps_nulls else f" FILTER (WHERE {texts[0]} IS NOT NULL)"
    found = f"list({_distinct(node)}{texts[0]}{keys}){filter_}"
    if limit:
        found = f"CASE WHEN {limit} > 0 THEN list_slice({found}, 1, {limit}) END"
    if name == "array_concat_agg":
        return f"flatten({found})"
    return (
        f"array_to_string({found}, {texts[1] if len(texts) > 1 else chr(39) + ',' + chr(39)})"
        if name == "string_agg"
        else found
    )


def _collected(expressions: "Expressions", node: Node, name: str, arguments: list[Node]) -> str:
    """Return the aggregate of the group's collected arguments, evaluated by Google's implementation."""
    collected = list(arguments)
    inside = ", ".join(f"e.f{at}" for at in range(len(arguments)))
    if is_set(node, "having_modifier"):
        inside += f" HAVING {enum_name(node.having_modifier, 'kind')} e.f{len(collected)}"
        collected.append(node.having_modifier.having_expr)
    types = [type_of(item) for item in collected]
    group = array_of(struct_of([(f"f{at}", type_) for at, type_ in enumerate(types)]))
    fields = ", ".join(f"f{at} := {expressions.sql(item)}" for at, item in enumerate(collected))
    text = f"(SELECT {name.upper()}({_distinct(node)}{inside}) FROM UNNEST({{0}}) AS e)"  # noqa: S608  names only
    return expressions.scalar(text, [(f"list(struct_pack({fields}))", group)], type_of(node))


def analytic(expressions: "Expressions", expression: Node, group: Node) -> str:
    """Return an analytic function call over the partitions and the order of its group."""
    node = concrete(expression)
    name, row, arguments = _row(node, "window" if _is_window(node) else "aggregate")
    texts = [expressions.sql(argument) for argument in arguments]
    kinds = [kind(type_of(argument)) for argument in arguments]
    template = row.counterpart(kinds)
    if not template or is_set(node.parent, "where_expr"):
        raise missing(f"{name.upper()} OVER with arguments of the types {', '.join(kinds)}")
    nulls = {"IGNORE_NULLS": " IGNORE NULLS", "RESPECT_NULLS": " RESPECT NULLS"}
    modifier = nulls.get(enum_name(node.parent, "null_handling_modifier"), "")
    if name in ("lag", "lead") and len(arguments) > 1 and texts[1].startswith("'-"):
        raise Refused(f"The offset to the function {name.upper()} must not be negative.")
    filter_ = ""
    if name in LISTS:
        template = {"array_agg": "list({distinct}{0}){over}", "string_agg": "string_agg({distinct}{0}, {1}){over}"}.get(
            name, ""
        )
        if not template:
            raise missing(f"{name.upper()} OVER")
        texts.append("','")
        if _ignores_nulls(node):
            filter_ = f" FILTER (WHERE {texts[0]} IS NOT NULL)"
    if modifier and "{nulls}" not in template and not filter_:
        raise missing(f"{name.upper()}({modifier.strip()}) OVER")
    over = f"{filter_} OVER ({_window(expressions, node, group)})"
    if is_preprocessing(name):
        return write(expressions, name, arguments, over)
    return filled(template, texts, over=over, distinct=_distinct(node), nulls=modifier)


def _is_window(node: Node) -> bool:
    return function_name(node.parent.parent) in functions()["window"]


def _window(expressions: "Expressions", node: Node, group: Node) -> str:
    from workers.platforms.embedded.googlesql.nodes import column_name

    parts = []
    if group.HasField("partition_by"):
        columns = [column_name(item.column) for item in group.partition_by.partition_by_list]
        parts.append(f"PARTITION BY {', '.join(columns)}")
    items = list(group.order_by.order_by_item_list) if group.HasField("order_by") else []
    frame = node.window_frame if node.HasField("window_frame") else None
    is_plain = frame is not None and "OFFSET" in _boundary(frame.start_expr) + _boundary(frame.end_expr)
    if items:
        only = items[0]
        if is_plain and enum_name(frame, "frame_unit") == "RANGE":  # one plain key, to which the offset is added
            parts.append(
                f"ORDER BY {column_name(only.column_ref.column)} {'DESC' if only.is_descending else 'ASC'}"
                f" NULLS {'LAST' if only.is_descending else 'FIRST'}"
            )
        else:
            parts.append(f"ORDER BY {sort_keys(items)}")
    if frame is not None and (items or enum_name(frame, "frame_unit") == "ROWS"):
        bounds = [_bound(expressions, frame.start_expr), _bound(expressions, frame.end_expr)]
        parts.append(f"{enum_name(frame, 'frame_unit')} BETWEEN {bounds[0]} AND {bounds[1]}")
    return " ".join(parts)


def _boundary(bound: Node) -> str:
    return enum_name(bound, "boundary_type")


def _bound(expressions: "Expressions", bound: Node) -> str:
    offset = expressions.sql(bound.expression) if is_set(bound, "expression") else ""
    return _BOUNDARIES[_boundary(bound)].format(offset)
