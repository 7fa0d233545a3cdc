"""Queries in BigQuery's dialect on the tables of the local warehouse.

A query comes from a settings file and is not trusted. Google's analyzer resolves it against the known tables alone, the
translation holds nothing of its text, and DuckDB runs it without access to files, networks or extensions, with bounded
memory.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.contract.settings import Model
from workers.platforms.embedded.errors import query_error
from workers.platforms.embedded.googlesql.errors import Refused
from workers.platforms.embedded.googlesql.stored_tables import sources, split_quoted_paths
from workers.platforms.embedded.warehouse.feature_columns import feature_columns
from workers.platforms.embedded.warehouse.tables import IRIS, MEMORY_LIMIT, StoredTable, load_table, lock

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from duckdb import DuckDBPyConnection as Connection

    from workers.platforms.embedded.googlesql.database import Query
    from workers.platforms.embedded.googlesql.scans import Source

# Errors that DuckDB raises where GoogleSQL has its own words.
_OVERFLOW = re.compile(
    r"Overflow in \w+ of INT64 \((.*?)\)|Overflow (?:in negation|on abs)|INT128 with value .* out of range"
)
_REFUSED = re.compile(r"Refused: (?P<problem>.*?)(\n|$)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a query's result, with GoogleSQL's name of its type, such as "ARRAY<INT64>"."""

    name: str
    type: str


@contextmanager
def model_errors(model: Model) -> Iterator[None]:
    """Turn Refused into a PermanentError that begins with the field of the model's query."""
    try:
        yield
    except Refused as error:
        raise query_error(model, error.problem, error.advice) from error


def read_query(connection: "Connection", sql: str, *, files: Mapping[str, StoredTable]) -> "Query":
    """Load the tables that a query names, lock the database and return the translated query, ready to run.

    `files` maps BigQuery names to CSV or Parquet files. Raises Refused for the query, and PermanentError for a file.
    """
    from workers.platforms.embedded.googlesql.database import prepare, translate

    text = split_quoted_paths(sql)
    query = translate(text, sources=_load(connection, text, files))
    prepare(connection, query)
    return query


def read_model_query(connection: "Connection", model: Model, *, files: Mapping[str, StoredTable]) -> "Query":
    """Return the model's query as `read_query` does, with the columns that BigQuery ML makes of it.

    Raises PermanentError that begins with the field at fault.
    """
    from workers.platforms.embedded.googlesql.database import prepare, translate

    with model_errors(model):
        text = split_quoted_paths(model.query)
        sources = _load(connection, text, files)
        query = translate(text, sources=sources)
        kept = {model.label, model.options.get("data_split_col", "")}
        if (features := feature_columns(text, query, kept=kept)) != text:
            query = translate(features, sources=sources)
        prepare(connection, query)
        return query


def _load(connection: "Connection", text: str, files: Mapping[str, StoredTable]) -> "list[Source]":
    from workers.platforms.embedded.googlesql.database import table_paths

    loaded: set[str] = set()

    def load(name: str) -> None:
        if name not in loaded:
            load_table(connection, name, files.get(name))
            loaded.add(name)

    found = sources(connection, table_paths(text), known=[IRIS, *files], load=load)
    lock(connection)
    return found


def columns(query: "Query") -> tuple[Column, ...]:
    """Return the columns of the result."""
    from workers.platforms.embedded.googlesql.types import show

    return tuple(Column(name=column.name, type=show(column.type)) for column in query.columns)


def fetch(connection: "Connection", query: "Query", *, casts: Mapping[str, str], limit: int) -> "pd.DataFrame":
    """Return at most `limit` rows, with the columns `casts` cast to these types of DuckDB.

    The rows are sorted by all columns: the order does not depend on DuckDB's threads. Raises Refused.
    """
    from workers.platforms.embedded.googlesql.values import identifier

    given = {column.name: column.sql for column in query.columns}
    select = ", ".join(f"CAST({given[name]} AS {type_}) AS {identifier(name)}" for name, type_ in casts.items())
    sql = f"SELECT {select} FROM ({query.sql}) AS query ORDER BY ALL LIMIT {limit:d}"  # noqa: S608  generated
    with _duckdb_errors():
        return connection.execute(sql).df()


def fetch_table(connection: "Connection", query: "Query") -> "pa.Table":
    """Return all rows in the query's order. Raises Refused."""
    with _duckdb_errors():
        return connection.sql(query.sql).to_arrow_table()


@contextmanager
def _duckdb_errors() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Refused(
            f"it needs more than {MEMORY_LIMIT} of memory, the limit of the local warehouse.",
            advice="Select fewer columns or rows, or train in BigQuery.",
        ) from error
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise _refusal(str(error)) from error


def _refusal(message: str) -> Refused:
    """Return the refusal for an error at run time, in GoogleSQL's words where they are known."""
    if found := _REFUSED.search(message):
        return Refused(f"it stops: {found['problem']}", advice="BigQuery stops, too. Correct the query, or use SAFE.")
    if found := _OVERFLOW.search(message):
        what = f": {found[1]}" if found[1] else ""
        return Refused(f"it stops: INT64 overflow{what}.", advice="BigQuery stops, too. Use FLOAT64 or NUMERIC.")
    if "More than one row returned by a subquery" in message:
        return Refused("it stops: a scalar subquery has more than one row.", advice="Aggregate, or add LIMIT 1.")
    lines = message.partition("Error: ")[2].partition("\n\n")[0].splitlines()[:1]
    problem = " ".join(lines).rstrip(".!")
    return Refused(f"it cannot be run: {problem}.", advice="Write it in another way, or train in BigQuery.")
