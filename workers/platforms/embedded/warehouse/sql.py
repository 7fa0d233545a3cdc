"""Runs a model's query, written in BigQuery's dialect, in a DuckDB that can reach nothing but the tables it names.

The query comes from a settings file and is not trusted with this machine: it must be one query, it may read the
tables known here and no file, no address, no extension, and its memory is bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.errors import listed, mistake

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    from sqlglot import exp

IRIS = "bigquery-public-data.ml_datasets.iris"
"""The public data set that is served without a file, from scikit-learn's own copy."""

MEMORY_LIMIT = "2GB"
"""What one query may hold: several jobs run side by side on a machine of 8 GB."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": MEMORY_LIMIT,
    "temp_directory": "",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a query's result; `type` is DuckDB's name of its type, as `DESCRIBE` gives it."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """A query in DuckDB's dialect, and the BigQuery names of the tables that it reads."""

    sql: str
    tables: frozenset[str]


def translate(model: Model, *, known: Sequence[str]) -> Translation:
    """The model's query for DuckDB.

    Raises PermanentError for what is not exactly one query, does not parse, has no counterpart in DuckDB, calls
    a table function or names a table that is not in `known`.
    """
    import sqlglot
    from sqlglot import exp

    query = _the_only_query(model)
    local = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    tables: set[str] = set()
    for table in query.find_all(exp.Table):
        name = ".".join(part.name for part in table.parts)
        if not isinstance(table.this, exp.Identifier):
            call = table.this.sql(dialect="bigquery")
            raise mistake(
                model,
                "query",
                f"{call:.60} is a table function, and the warehouse on this machine runs none.",
                advice="Select from tables; a file becomes one under [tables] in the settings.",
            )
        if name in known:
            tables.add(name)
        elif name.lower() not in local:
            raise _unknown_table(model, name, known)
    try:
        sql = query.sql(dialect="duckdb", identify=True, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.UnsupportedError as error:
        raise mistake(
            model,
            "query",
            f"it uses what the warehouse on this machine does not have: {error}.",
            advice="Write the query without it, or train in BigQuery.",
        ) from error
    return Translation(sql=sql, tables=frozenset(tables))


def _the_only_query(model: Model) -> "exp.Query":
    import sqlglot
    from sqlglot import exp

    advice = "Write one query in BigQuery's dialect: SELECT … FROM …, or WITH … SELECT …."
    try:
        tokens = sqlglot.tokenize(model.query, dialect="bigquery")
        first = tokens[0].text.upper() if tokens else "nothing"
        if first not in ("SELECT", "WITH", "FROM", "("):
            raise mistake(model, "query", f"a query begins with SELECT or WITH, found {first:.40}.", advice=advice)
        statements = [statement for statement in sqlglot.parse(model.query, dialect="bigquery") if statement]
    except sqlglot.TokenError as error:
        what = "it cannot be read as SQL, as if a quote or a comment were left open."
        raise mistake(model, "query", what, advice=advice) from error
    except sqlglot.ParseError as error:
        at = error.errors[0]
        what = f'it does not parse at line {at["line"]}, column {at["col"]}, near "{at["highlight"]}".'
        raise mistake(model, "query", what, advice=advice) from error
    except RecursionError as error:
        raise mistake(model, "query", "it is nested too deeply to be read.", advice=advice) from error
    statements = [statement for statement in statements if not isinstance(statement, exp.Semicolon)]
    if len(statements) != 1:
        raise mistake(model, "query", f"it must be one query, found {len(statements)} statements.", advice=advice)
    (query,) = statements
    if not isinstance(query, exp.Query):
        raise mistake(model, "query", "it must be one query; this statement is none.", advice=advice)
    return query


def _unknown_table(model: Model, name: str, known: Sequence[str]) -> PermanentError:
    return mistake(
        model,
        "query",
        f'there is no table "{name}" in the warehouse on this machine; it has {listed(sorted(known))}.',
        advice=f'Add "{name}" = "FILE.csv" (or .parquet) under [tables] in the settings, or train in BigQuery.',
    )


def open_database() -> "duckdb.DuckDBPyConnection":
    """An empty DuckDB in memory, whose `interrupt` may be called from any thread."""
    import duckdb

    return duckdb.connect(":memory:", config=_CONFIG)


def load_tables(connection: "duckdb.DuckDBPyConnection", tables: frozenset[str], *, files: Mapping[str, Path]) -> None:
    """Read `tables` in under their BigQuery names; from then on the database can reach nothing else.

    `files` maps names to CSV or Parquet files. Raises PermanentError that names the table whose file is unreadable.
    """
    for name in sorted(tables):
        _load(connection, name, files.get(name))
    # https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _load(connection: "duckdb.DuckDBPyConnection", name: str, file: Path | None) -> None:
    import duckdb

    *parents, table = name.split(".")
    if len(parents) > 1:
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {_quoted(*parents[:-1])}")
    if parents:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(*parents)}")
    create = f"CREATE TABLE {_quoted(*parents, table)} AS FROM "
    if file is None:
        connection.register("bundled", _iris())
        connection.execute(create + "bundled")
        connection.unregister("bundled")
        return
    advice = "Give the table a CSV file with a header line, or a Parquet file."
    if not file.is_file() or file.stat().st_size == 0:
        raise PermanentError(f'tables."{name}": the file {file} is missing or empty.', advice=advice)
    try:
        connection.execute(create + ("read_parquet(?)" if file.suffix == ".parquet" else "read_csv(?)"), [str(file)])
    except duckdb.Error as error:
        raise PermanentError(f'tables."{name}": {file} cannot be read: {_in_short(error)}', advice=advice) from error


def _iris() -> object:
    """Fisher's irises with the names of columns and species that BigQuery's public data set has."""
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    frame = bunch.data.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis="columns")
    return frame.assign(species=bunch.target_names[bunch.target].astype(object))


def describe(connection: "duckdb.DuckDBPyConnection", translation: Translation, *, model: Model) -> tuple[Column, ...]:
    """The columns of the query's result, without running it."""
    rows = _execute(connection, f"DESCRIBE {translation.sql}", model=model).fetchall()
    return tuple(Column(name=row[0], type=row[1]) for row in rows)


def fetch(
    connection: "duckdb.DuckDBPyConnection",
    translation: Translation,
    *,
    model: Model,
    columns: Sequence[tuple[str, Literal["DOUBLE", "VARCHAR"]]],
    limit: int,
) -> "pd.DataFrame":
    """At most `limit` rows of the query: these columns, each cast to the type beside its name.

    The rows are sorted by all columns: the same data gives the same order, however many threads DuckDB used.
    """
    casts = ", ".join(f"CAST({_quoted(name)} AS {type_}) AS {_quoted(name)}" for name, type_ in columns)
    sql = f"SELECT {casts} FROM ({translation.sql}) AS query ORDER BY ALL LIMIT {limit:d}"  # noqa: S608  generated
    return _execute(connection, sql, model=model).df()


def _execute(connection: "duckdb.DuckDBPyConnection", sql: str, *, model: Model) -> "duckdb.DuckDBPyConnection":
    import duckdb

    try:
        return connection.execute(sql)
    except duckdb.OutOfMemoryException as error:
        raise mistake(
            model,
            "query",
            f"it needs more than the {MEMORY_LIMIT} of memory that a query has on this machine.",
            advice="Select fewer columns or rows, or train in BigQuery.",
        ) from error
    except duckdb.Error as error:
        advice = "Correct the query; it runs in DuckDB here, translated from BigQuery's dialect."
        raise mistake(model, "query", f"it cannot be run: {_in_short(error)}", advice=advice) from error


def _in_short(error: Exception) -> str:
    """What DuckDB says, in a sentence or two: not its class, its guesses at functions, nor the translated SQL."""
    lines = str(error).partition("Error: ")[2].partition("\n\n")[0].splitlines()[:2]
    said = [line.strip() for line in lines if not line.strip().startswith(("Candidate functions", "Did you mean"))]
    return " ".join(said).rstrip(".!") + "."


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)
