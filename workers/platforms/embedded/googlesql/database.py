"""Translation of a query of GoogleSQL, and its run in DuckDB."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.platforms.embedded.googlesql.catalogue import Shapes, options, with_tables
from workers.platforms.embedded.googlesql.errors import Refused
from workers.platforms.embedded.googlesql.library import library
from workers.platforms.embedded.googlesql.nodes import Node, calls_of, column_name, concrete, function_name, type_of
from workers.platforms.embedded.googlesql.preprocessing import SHAPED, shape
from workers.platforms.embedded.googlesql.scalars import Scalar
from workers.platforms.embedded.googlesql.scans import Scans, Source

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a query's result. An unnamed one has the name ""."""

    name: str
    type: "TypeProto"
    sql: str
    """Its name in `Query.sql`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A query in DuckDB's SQL, and the functions that it needs."""

    sql: str
    columns: tuple[Column, ...]
    scalars: Sequence[Scalar]


def table_paths(sql: str) -> list[tuple[str, ...]]:
    """Return the paths of the tables that a query names, without its WITH entries. Raises Refused as `translate`."""
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

    request = service.ExtractTableNamesFromStatementRequest(sql_statement=sql, options=options().language_options)
    answer = library().call("ExtractTableNamesFromStatement", request, service.ExtractTableNamesFromStatementResponse)
    return [tuple(name.table_name_segment) for name in answer.table_name]


def translate(sql: str, *, sources: list[Source]) -> Query:
    """Translate a query. Raises Refused if BigQuery refuses it, or if this warehouse lacks a part of it."""
    statement = _analyze(sql, sources, {})
    shapes: dict[str, list[tuple[TypeProto, TypeProto]]] = {}
    has_shaped = any(name.partition(".")[2] in sql.lower() for name in SHAPED)  # a look at the tree takes longer
    for call in calls_of(statement, SHAPED) if has_shaped else ():
        arguments = list(call.argument_list)
        shapes.setdefault(function_name(call), []).append(
            (type_of(arguments[0]), shape(function_name(call), arguments))
        )
    if shapes:
        statement = _analyze(sql, sources, shapes)
    scans = Scans(sources)
    try:
        body = scans.sql(statement.query)
    except RecursionError as error:
        raise Refused("it is nested too deeply.", advice="Compute its parts in a WITH query.") from error
    columns = tuple(
        Column(name="" if item.name.startswith("$") else item.name, type=item.column.type, sql=f"column{number}")
        for number, item in enumerate(statement.output_column_list)
    )
    named = zip(statement.output_column_list, columns, strict=True)
    select = ", ".join(f"{column_name(item.column)} AS {column.sql}" for item, column in named)
    return Query(sql=f"SELECT {select} FROM ({body}) AS q", columns=columns, scalars=scans.expressions.scalars)  # noqa: S608


def _analyze(sql: str, sources: list[Source], shapes: "Shapes") -> Node:
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

    catalogue = with_tables([source.table for source in sources], shapes)
    request = service.AnalyzeRequest(sql_statement=sql, options=options(), **catalogue)
    return concrete(library().call("Analyze", request, service.AnalyzeResponse).resolved_statement)


def prepare(connection: "Connection", query: Query) -> None:
    """Create the functions that the query needs."""
    for scalar in query.scalars:
        scalar.register(connection)
