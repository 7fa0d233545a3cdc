"""`seatrial query`: the answer of the warehouse on this machine to a query, as JSON, or the query's translation."""

import base64
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.googlesql.types import kind, show
from workers.platforms.embedded.warehouse.sql import fetch_table, read_query
from workers.platforms.embedded.warehouse.tables import StoredTable, open_database

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto


def answer(sql: str, *, files: Mapping[str, StoredTable]) -> Iterator[str]:
    """Run a query and yield the parts of one JSON document: its columns, then a row per line.

    INT64, FLOAT64 and NUMERIC are numbers, NaN and infinities the strings of BigQuery's API ("NaN", "Infinity"), BYTES
    base64, dates and times as CAST writes them on UTC. A column without a name has BigQuery's: f0_, f1_, …
    Raises Refused for the query, and PermanentError for a table's file.
    """
    with open_database() as connection:
        query = read_query(connection, sql, files=files)
        unnamed = iter(range(len(query.columns)))
        columns = [{"name": column.name or f"f{next(unnamed)}_", "type": show(column.type)} for column in query.columns]
        types = [column.type for column in query.columns]
        found = fetch_table(connection, query)
        yield f'{{"columns": {json.dumps(columns, ensure_ascii=False)}, "rows": ['
        separator = "\n"
        for batch in found.to_batches():
            for row in batch.to_pylist():
                values = (_json(value, type_) for value, type_ in zip(row.values(), types, strict=True))
                yield f"{separator}[{', '.join(values)}]"
                separator = ",\n"
        yield "\n]}\n"


def explanation(sql: str, *, files: Mapping[str, StoredTable]) -> str:
    """Return DuckDB's SQL for a query, and the expressions that Google's implementation evaluates."""
    with open_database() as connection:
        query = read_query(connection, sql, files=files)
    lines = [query.sql, *(f"-- {scalar.name}: {scalar.text}" for scalar in query.scalars)]
    return "\n".join(lines) + "\n"


def _json(value: Any, type_: "TypeProto") -> str:
    if value is None:
        return "null"
    name = kind(type_)
    if name == "ARRAY":
        return f"[{', '.join(_json(element, type_.array_type.element_type) for element in value)}]"
    if name == "STRUCT":
        parts = zip(value.values(), type_.struct_type.field, strict=True)
        fields = (
            f"{json.dumps(field.field_name or f'_field_{number}', ensure_ascii=False)}: {_json(part, field.field_type)}"
            for number, (part, field) in enumerate(parts, 1)
        )
        return f"{{{', '.join(fields)}}}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, float) and not math.isfinite(value):
        return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(_text(value), ensure_ascii=False)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return f"POINT({value['f0']:.15g} {value['f1']:.15g})"
    if isinstance(value, datetime | time):
        digits = "seconds" if not value.microsecond else "microseconds" if value.microsecond % 1000 else "milliseconds"
        text = value.isoformat(" ", digits) if isinstance(value, datetime) else value.isoformat(digits)
        return text.replace("+00:00", "+00")
    return str(value)
