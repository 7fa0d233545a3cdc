"""Whole queries through Google's own evaluator, and through the local warehouse, as values that can be compared.

The warehouse asks the same library for single expressions. Here, the evaluator runs the whole query: scans, joins,
aggregation, windows and all expressions.
"""

import math
from dataclasses import dataclass
from typing import Any

from workers.platforms.embedded.googlesql.catalogue import options, with_tables
from workers.platforms.embedded.googlesql.errors import Refused
from workers.platforms.embedded.googlesql.library import library
from workers.platforms.embedded.googlesql.types import show
from workers.platforms.embedded.googlesql.values import decode
from workers.platforms.embedded.warehouse.sql import columns, fetch_table, read_query
from workers.platforms.embedded.warehouse.tables import open_database


@dataclass(frozen=True, slots=True)
class Answer:
    """The names and types of a result's columns, and its rows in an order that depends on their values only."""

    columns: list[tuple[str, str]]
    rows: list[tuple[Any, ...]]


def google(sql: str) -> Answer | None:
    """Return Google's answer, or None if it refuses the query or stops while it runs."""
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

    try:
        request = service.PrepareQueryRequest(sql=sql, options=options(), **with_tables([]))
        prepared = library().call("PrepareQuery", request, service.PrepareQueryResponse).prepared
        run = service.EvaluateQueryRequest(prepared_query_id=prepared.prepared_query_id)
        content = library().call("EvaluateQuery", run, service.EvaluateQueryResponse).content
    except Refused:
        return None
    types = [column.type for column in prepared.columns]
    names = ["" if column.name.startswith("$") else column.name for column in prepared.columns]
    rows = [tuple(map(decode, row.cell, types)) for row in content.table_data.row]
    return Answer(list(zip(names, map(show, types), strict=True)), _sorted(rows))


def warehouse(sql: str) -> Answer | None:
    """Return the answer of the warehouse on this machine, or None if it refuses the query or stops while it runs."""
    with open_database() as connection:
        try:
            query = read_query(connection, sql, files={})
            found = fetch_table(connection, query)
        except Refused:
            return None
        rows = [tuple(plain(value) for value in row.values()) for row in found.to_pylist()]
        return Answer([(column.name, column.type) for column in columns(query)], _sorted(rows))


def plain(value: Any) -> Any:
    """Return structs as tuples."""
    if isinstance(value, dict):
        return tuple(plain(part) for part in value.values())
    return [plain(element) for element in value] if isinstance(value, list) else value


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows with floats of 12 digits, which do not depend on the order of an addition, and NaN equal."""
    return sorted((_rounded(row) for row in rows), key=repr)


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_rounded(part) for part in value)
    if isinstance(value, list):
        return [_rounded(element) for element in value]
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else f"{value + 0.0:.12g}")
    return (type(value).__name__, value)
