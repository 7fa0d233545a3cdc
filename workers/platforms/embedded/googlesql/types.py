"""GoogleSQL's types: their names, and their counterparts in DuckDB.

DuckDB's structs have the fields f0, f1, …, because GoogleSQL's may lack names or repeat them. JSON and INTERVAL are
text in DuckDB; a GEOGRAPHY is a point, a struct of longitude and latitude in degrees.
"""

from typing import TYPE_CHECKING

from workers.platforms.embedded.googlesql.errors import Refused, missing

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

_DUCKDB = {
    "BOOL": "BOOLEAN",
    "INT64": "BIGINT",
    "DOUBLE": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "JSON": "VARCHAR",
    "INTERVAL": "VARCHAR",
    "GEOGRAPHY": "STRUCT(f0 DOUBLE, f1 DOUBLE)",
}
TEXT = {"JSON", "INTERVAL"}
"""Kinds that DuckDB holds as text, which it must neither compare nor sort."""


def kind(type_: "TypeProto") -> str:
    """Return the kind of a type, such as "INT64", "DOUBLE", "ARRAY" or "STRUCT"."""
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeKind

    return str(TypeKind.Name(type_.type_kind)).removeprefix("TYPE_")


def simple(name: str) -> "TypeProto":
    """Return the type of a kind without parts."""
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeKind, TypeProto

    return TypeProto(type_kind=TypeKind.Value(f"TYPE_{name}"))


def array_of(element: "TypeProto") -> "TypeProto":
    type_ = simple("ARRAY")
    type_.array_type.element_type.CopyFrom(element)
    return type_


def struct_of(fields: "list[tuple[str, TypeProto]]") -> "TypeProto":
    type_ = simple("STRUCT")
    for name, field_type in fields:
        type_.struct_type.field.add(field_name=name).field_type.CopyFrom(field_type)
    return type_


def show(type_: "TypeProto", *, quote: str = "") -> str:
    """Return the type as GoogleSQL writes it, such as "ARRAY<STRUCT<a INT64, FLOAT64>>".

    In a query, the names of fields need "`" as `quote`: they may be keywords.
    """
    name = kind(type_)
    if name == "ARRAY":
        return f"ARRAY<{show(type_.array_type.element_type, quote=quote)}>"
    if name == "STRUCT":
        fields = (
            (f"{quote}{field.field_name}{quote} " if field.field_name else "") + show(field.field_type, quote=quote)
            for field in type_.struct_type.field
        )
        return f"STRUCT<{', '.join(fields)}>"
    return "FLOAT64" if name == "DOUBLE" else name


def in_duckdb(type_: "TypeProto") -> str:
    """Return DuckDB's type. Raises Refused for a type that this warehouse lacks."""
    name = kind(type_)
    if name == "ARRAY":
        return f"{in_duckdb(type_.array_type.element_type)}[]"
    if name == "STRUCT":
        fields = [f"f{at} {in_duckdb(field.field_type)}" for at, field in enumerate(type_.struct_type.field)]
        return f"STRUCT({', '.join(fields)})"
    if name not in _DUCKDB:
        raise missing(f"The type {name}")
    return _DUCKDB[name]


def holds(type_: "TypeProto", kinds: set[str]) -> bool:
    """Return whether the type is of one of these kinds or has a part that is."""
    name = kind(type_)
    if name in kinds:
        return True
    if name == "ARRAY":
        return holds(type_.array_type.element_type, kinds)
    if name == "STRUCT":
        return any(holds(field.field_type, kinds) for field in type_.struct_type.field)
    return False


def from_duckdb(type_: object) -> "TypeProto":
    """Return the type of a stored column from DuckDB's type, a DuckDBPyType. Raises Refused if it has none."""
    id_: str = type_.id  # type: ignore[attr-defined]
    children = dict(type_.children) if id_ in ("list", "array", "struct") else {}  # type: ignore[attr-defined]
    if id_ in ("list", "array"):
        return array_of(from_duckdb(children["child"]))
    if id_ == "struct":
        return struct_of([(name, from_duckdb(child)) for name, child in children.items()])
    names = {
        "boolean": "BOOL",
        "bigint": "INT64",
        "double": "DOUBLE",
        "decimal": "NUMERIC",
        "varchar": "STRING",
        "blob": "BYTES",
        "date": "DATE",
        "timestamp": "DATETIME",
        "time": "TIME",
        "timestamp with time zone": "TIMESTAMP",
    }
    if id_ not in names:
        raise Refused(f"a column of the type {type_!s} cannot be read.", advice="Store it as another type.")
    return simple(names[id_])


_STORED = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger"), "BIGINT"),
    **dict.fromkeys(("ubigint", "hugeint", "uhugeint"), "BIGINT"),
    "float": "DOUBLE",
    "decimal": "DECIMAL(38,9)",
    "enum": "VARCHAR",
    "uuid": "VARCHAR",
    **dict.fromkeys(("timestamp_s", "timestamp_ms", "timestamp_ns"), "TIMESTAMP"),
    "time_ns": "TIME",
}
_KNOWN = {"boolean", "bigint", "double", "varchar", "blob", "date", "timestamp", "time", "timestamp with time zone"}


def stored_type(type_: object) -> str | None:
    """Return the DuckDB type to store a column of a file as, from its DuckDBPyType, or None if there is none."""
    id_: str = type_.id  # type: ignore[attr-defined]
    if id_ in ("list", "array"):
        element = stored_type(dict(type_.children)["child"])  # type: ignore[attr-defined]
        return f"{element}[]" if element else None
    if id_ == "struct":
        fields = {name: stored_type(child) for name, child in type_.children}  # type: ignore[attr-defined]
        if None in fields.values():
            return None
        quoted = (f'"{name.replace(chr(34), chr(34) * 2)}" {field}' for name, field in fields.items())
        return f"STRUCT({', '.join(quoted)})"
    return str(type_) if id_ in _KNOWN else _STORED.get(id_)
