"""Casts that DuckDB does as GoogleSQL, and the parameters of types."""

from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.googlesql.types import show

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

_PLAIN = {
    ("BOOL", "INT64"),
    ("BOOL", "STRING"),
    ("INT64", "BOOL"),
    ("INT64", "DOUBLE"),
    ("INT64", "NUMERIC"),
    ("INT64", "STRING"),
    ("NUMERIC", "DOUBLE"),
    ("DATE", "DATETIME"),
    ("DATE", "TIMESTAMP"),
    ("DATE", "STRING"),
    ("DATETIME", "DATE"),
    ("DATETIME", "TIME"),
    ("DATETIME", "TIMESTAMP"),
    ("TIMESTAMP", "DATE"),
    ("TIMESTAMP", "DATETIME"),
    ("TIMESTAMP", "TIME"),
}


VECTOR_CASTS = {("DOUBLE", "INT64"): "to_int64", ("DOUBLE", "STRING"): "to_string"}
"""Casts that functions in vectors.py do."""


def native_cast(given: str, to: str, *, is_null: bool) -> str:
    """Return DuckDB's cast between these kinds, with {0} for the value and {1} for the type, or ""."""
    if is_null:
        return "NULL::{1}"
    if given == to and given not in ("ARRAY", "STRUCT"):
        return "{0}"
    if (given, to) == ("STRING", "BYTES"):
        return "encode({0})"
    return "CAST({0} AS {1})" if (given, to) in _PLAIN else ""


def type_with_parameters(type_: "TypeProto", modifiers: Any) -> str:
    """Return the type with its parameters, as in NUMERIC(10, 2) or STRING(3)."""
    parameters = modifiers.type_parameters if modifiers.HasField("type_parameters") else None
    text = show(type_, quote="`")
    if parameters is None:
        return text
    if parameters.HasField("numeric_type_parameters"):
        numeric = parameters.numeric_type_parameters
        return f"{text}({numeric.precision}, {numeric.scale})"
    if parameters.HasField("string_type_parameters"):
        return f"{text}({parameters.string_type_parameters.max_length})"
    return text
