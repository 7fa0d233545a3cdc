"""Execution of a model's query, written in BigQuery's dialect, in a DuckDB that holds only the tables it names.

The query comes from a settings file and is not trusted. It must be a single query on known tables, without access to
files, networks or extensions, and its memory is bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.errors import join_names, query_error

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection as Connection
    from sqlglot import exp

CastType = Literal["DOUBLE", "VARCHAR"]

IRIS = "bigquery-public-data.ml_datasets.iris"
"""The public data set that needs no file: scikit-learn has a copy."""
MEMORY_LIMIT = "2GB"
"""Limit for one query: several jobs run at the same time on a machine with 8 GB."""
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": MEMORY_LIMIT,
    "temp_directory": "",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a query's result. `type` is DuckDB's name, from `DESCRIBE`."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """A query in DuckDB's dialect, and the BigQuery names of its tables."""

    sql: str
    tables: frozenset[str]


def translate(model: Model, *, known: Sequence[str]) -> Translation:
    """Translate the model's query to DuckDB's dialect.

    Raises PermanentError if it does not parse, is not a single query, has no counterpart in DuckDB, calls a table
    function or names a table that is not in `known`.
    """
    import sqlglot
    from sqlglot import exp

    query = _single_query(model)
    local = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    tables: set[str] = set()
    for table in query.find_all(exp.Table):
        name = ".".join(part.name for part in table.parts)
        if not isinstance(table.this, exp.Identifier):
            call = table.this.sql(dialect="bigquery")
            problem = f"{call:.60} is a table function; the local warehouse does not support these."
            advice = "Select from tables. Add a file as a table under [tables] in the settings."
            raise query_error(model, problem, advice)
        if name in known:
            tables.add(name)
        elif name.lower() not in local:
            problem = f'there is no table "{name}" in the local warehouse, which has {join_names(sorted(known))}.'
            advice = f'Add "{name}" = "FILE.csv" (or .parquet) under [tables] in the settings, or train in BigQuery.'
            raise query_error(model, problem, advice)
    try:
        sql = query.sql(dialect="duckdb", identify=True, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.UnsupportedError as error:
        problem = f"the local warehouse does not support this: {error}."
        raise query_error(model, problem, "Rewrite the query, or train in BigQuery.") from error
    return Translation(sql=sql, tables=frozenset(tables))


def _single_query(model: Model) -> "exp.Query":
    import sqlglot
    from sqlglot import exp

    advice = "Write one query in BigQuery's dialect: SELECT … FROM …, or WITH … SELECT …."
    try:
        tokens = sqlglot.tokenize(model.query, dialect="bigquery")
        first = tokens[0].text.upper() if tokens else "an empty query"
        if first not in ("SELECT", "WITH", "FROM", "("):
            raise query_error(model, f"a query must begin with SELECT or WITH, found {first:.40}.", advice)
        statements = [statement for statement in sqlglot.parse(model.query, dialect="bigquery") if statement]
    except sqlglot.TokenError as error:
        raise query_error(model, "it is not SQL: a quote or a comment is probably not closed.", advice) from error
    except sqlglot.ParseError as error:
        at = error.errors[0]
        problem = f'it does not parse at line {at["line"]}, column {at["col"]}, near "{at["highlight"]}".'
        raise query_error(model, problem, advice) from error
    except RecursionError as error:
        raise query_error(model, "it is nested too deeply.", advice) from error
    statements = [statement for statement in statements if not isinstance(statement, exp.Semicolon)]
    if len(statements) != 1:
        raise query_error(model, f"it must be a single query, found {len(statements)} statements.", advice)
    (query,) = statements
    if not isinstance(query, exp.Query):
        raise query_error(model, "it must be a SELECT query.", advice)
    return query


def open_database() -> "Connection":
    """Open an empty in-memory DuckDB. Any thread may call its `interrupt`."""
    import duckdb

    return duckdb.connect(":memory:", config=_CONFIG)


def load_tables(connection: "Connection", tables: frozenset[str], *, files: Mapping[str, Path]) -> None:
    """Load `tables` under their BigQuery names, then lock the database: it has no external access afterwards.

    `files` maps names to CSV or Parquet files. Raises PermanentError with the table's name if its file is unreadable.
    """
    for name in sorted(tables):
        _load(connection, name, files.get(name))
    # https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _load(connection: "Connection", name: str, file: Path | None) -> None:
    import duckdb

    *parents, table = name.split(".")
    if len(parents) > 1:
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {_quoted(*parents[:-1])}")
    if parents:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(*parents)}")
    create = f"CREATE TABLE {_quoted(*parents, table)} AS FROM "
    if file is None:
        connection.register("bundled", _iris()).execute(create + "bundled").unregister("bundled")
        return
    advice = "Use a CSV file with a header line, or a Parquet file."
    if not file.is_file() or file.stat().st_size == 0:
        raise PermanentError(f'tables."{name}": the file {file} is missing or empty.', advice=advice)
    try:
        connection.execute(create + ("read_parquet(?)" if file.suffix == ".parquet" else "read_csv(?)"), [str(file)])
    except duckdb.Error as error:
        raise PermanentError(f'tables."{name}": {file} cannot be read: {_summary(error)}', advice=advice) from error


def _iris() -> object:
    """Return Fisher's irises with the columns and species of BigQuery's public data set."""
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    frame = bunch.data.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis="columns")
    return frame.assign(species=bunch.target_names[bunch.target].astype(object))


def describe(connection: "Connection", translation: Translation, *, model: Model) -> tuple[Column, ...]:
    """Return the columns of the query's result, without running it."""
    rows = _execute(connection, f"DESCRIBE {translation.sql}", model=model).fetchall()
    return tuple(Column(name=row[0], type=row[1]) for row in rows)


def fetch(
    connection: "Connection", translation: Translation, *, model: Model, columns: Mapping[str, CastType], limit: int
) -> "pd.DataFrame":
    """Return at most `limit` rows of the query, with these columns cast to the given types.

    The rows are sorted by all columns: the order does not depend on DuckDB's threads.
    """
    casts = ", ".join(f"CAST({_quoted(name)} AS {type_}) AS {_quoted(name)}" for name, type_ in columns.items())
    sql = f"SELECT {casts} FROM ({translation.sql}) AS query ORDER BY ALL LIMIT {limit:d}"  # noqa: S608  generated
    return _execute(connection, sql, model=model).df()


def _execute(connection: "Connection", sql: str, *, model: Model) -> "Connection":
    import duckdb

    try:
        return connection.execute(sql)
    except duckdb.OutOfMemoryException as error:
        problem = f"it needs more than {MEMORY_LIMIT} of memory, the limit of the local warehouse."
        advice = "Select fewer columns or rows, or train in BigQuery."
        raise query_error(model, problem, advice) from error
    except duckdb.Error as error:
        advice = "Correct the query. It runs in DuckDB, translated from BigQuery's dialect."
        raise query_error(model, f"it cannot be run: {_summary(error)}", advice) from error


def _summary(error: Exception) -> str:
    """Return DuckDB's message without its error class, its suggestions and the translated SQL."""
    lines = str(error).partition("Error: ")[2].partition("\n\n")[0].splitlines()[:2]
    kept = [line.strip() for line in lines if not line.strip().startswith(("Candidate functions", "Did you mean"))]
    return " ".join(kept).rstrip(".!") + "."


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)
