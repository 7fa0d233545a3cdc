"""Sort keys: NULL is the least value in GoogleSQL, and NaN the next. DuckDB has NaN as the greatest.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#orderable_nulls
"""

from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.nodes import Node, column_name, enum_name, type_of
from workers.platforms.embedded.googlesql.types import TEXT, holds, kind


def sort_keys(items: list[Node]) -> str:
    """Return the keys of ORDER BY for ResolvedOrderByItems, or "" if there are none."""
    return ", ".join(_keys(item) for item in items)


def order_by(items: list[Node]) -> str:
    return f" ORDER BY {sort_keys(items)}" if items else ""


def _keys(item: Node) -> str:
    type_ = type_of(item.column_ref)
    if holds(type_, TEXT):
        raise missing("ORDER BY a value of the type INTERVAL")
    if item.collation.ByteSize() or item.collation_name.ByteSize():
        raise missing("COLLATE")
    column = column_name(item.column_ref.column)
    direction = "DESC" if item.is_descending else "ASC"
    order = enum_name(item, "null_order")
    first = {"NULLS_FIRST": True, "NULLS_LAST": False}.get(order, not item.is_descending)
    nulls = "NULLS FIRST" if first else "NULLS LAST"
    if kind(type_) != "DOUBLE":
        return f"{column} {direction} {nulls}"
    least = "ASC" if item.is_descending else "DESC"
    return f"({column} IS NULL) {'DESC' if first else 'ASC'}, isnan({column}) {least}, {column} {direction} {nulls}"
