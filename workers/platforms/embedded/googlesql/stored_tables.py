"""The tables that a query names, found among those of the warehouse, with the SELECT that reads each."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from workers.platforms.embedded.googlesql.catalogue import Table
from workers.platforms.embedded.googlesql.errors import Refused
from workers.platforms.embedded.googlesql.scans import Source
from workers.platforms.embedded.googlesql.types import from_duckdb, holds, in_duckdb, kind
from workers.platforms.embedded.googlesql.values import identifier, quoted

# ruff: noqa: S608  this SQL holds quoted identifiers of the settings' tables

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

_COMMENT = r"--[^\n]*|\#[^\n]*|/\*.*?\*/"
_STRING = r'"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
_DOTTED = re.compile(rf"{_COMMENT}|{_STRING}|`(?P<dotted>[^`\\.]+(?:\.[^`\\.]+)+)`", re.DOTALL)


def split_quoted_paths(sql: str) -> str:
    """Return the query with each path in one pair of backquotes, `a.b.c`, as `a`.`b`.`c`, which has the alias c."""

    def split(match: re.Match[str]) -> str:
        dotted = match["dotted"]
        return "`" + dotted.replace(".", "`.`") + "`" if dotted else match[0]

    return _DOTTED.sub(split, sql)


def sources(
    connection: "Connection", paths: Iterable[tuple[str, ...]], *, known: Sequence[str], load: Callable[[str], None]
) -> list[Source]:
    """Return the source of each path, after `load` of its tables. Raises Refused for a table that is not `known`."""
    found = []
    for path in dict.fromkeys(paths):
        names = _names(path, known)
        for name in names:
            load(name)
        found.append(
            _wildcard(connection, path, names) if path[-1].endswith("*") else _plain(connection, path, names[0])
        )
    return found


def _names(path: tuple[str, ...], known: Sequence[str]) -> list[str]:
    name = ".".join(path)
    if name.endswith("*"):
        if names := sorted(candidate for candidate in known if candidate.startswith(name[:-1])):
            return names
    elif name in known:
        return [name]
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    raise Refused(
        f'there is no table "{name}" in the local warehouse, which has {", ".join(sorted(known)[:20])}{more}.',
        advice=f'Add "{name}" = "FILE.csv" (or .parquet) under [tables] in the settings, or train in BigQuery.',
    )


def _columns(connection: "Connection", name: str) -> "dict[str, TypeProto]":
    described = connection.sql(f"FROM {identifier(*name.split('.'))}")
    columns: dict[str, TypeProto] = {}
    for column, type_ in zip(described.columns, described.types, strict=True):
        try:
            columns[column] = from_duckdb(type_)
        except Refused as error:
            raise Refused(f'tables."{name}": the column "{column}": {error.problem}', advice=error.advice) from None
    return columns


def _plain(connection: "Connection", path: tuple[str, ...], name: str) -> Source:
    columns = _columns(connection, name)
    return Source(table=Table(path=path, columns=columns), sql=_select(name, columns, columns))


def _wildcard(connection: "Connection", path: tuple[str, ...], names: list[str]) -> Source:
    """Return the union of the tables, with the columns of the last one and the suffixes of their names."""
    schemas = {name: _columns(connection, name) for name in names}
    columns = schemas[names[-1]]
    prefix = len(".".join(path)) - 1
    parts = []
    for name, given in schemas.items():
        for column in columns.keys() & given.keys():
            if columns[column] != given[column]:
                raise Refused(f'the column "{column}" has different types in {name} and {names[-1]}.')
        parts.append(f"{_select(name, columns, given, suffix=name[prefix:])}")
    return Source(table=Table(path=path, columns=columns, has_suffix=True), sql=" UNION ALL ".join(parts))


def _select(
    name: str, columns: "dict[str, TypeProto]", given: "dict[str, TypeProto]", *, suffix: str | None = None
) -> str:
    """Return the SELECT of `columns` as column0, column1, …, which are NULL if the table lacks them."""
    parts = [
        f"{_positional(identifier(column), type_) if column in given else f'NULL::{in_duckdb(type_)}'} AS column{at}"
        for at, (column, type_) in enumerate(columns.items())
    ]
    if suffix is not None:
        parts.append(f"{quoted(suffix)} AS column{len(parts)}")
    return f"SELECT {', '.join(parts)} FROM {identifier(*name.split('.'))}"


def _positional(value: str, type_: "TypeProto", depth: int = 0) -> str:
    """Return the value with the fields of its structs renamed to f0, f1, …"""
    if not holds(type_, {"STRUCT"}):
        return value
    if kind(type_) == "ARRAY":
        element = f"e{depth}"
        inner = _positional(element, type_.array_type.element_type, depth + 1)
        return f"list_transform({value}, lambda {element}: {inner})"
    fields = (
        f"f{at} := {_positional(f'struct_extract({value}, {quoted(field.field_name)})', field.field_type, depth)}"
        for at, field in enumerate(type_.struct_type.field)
    )
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END"
