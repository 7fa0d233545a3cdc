"""Tables of the local warehouse: files under their BigQuery names, and the public irises, in a locked DuckDB."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workers.contract.table_files import TableFile
from workers.errors import PermanentError
from workers.platforms.embedded.googlesql.types import stored_type
from workers.platforms.embedded.googlesql.values import identifier, quoted
from workers.platforms.embedded.warehouse.csv_files import UnreadableFile, cause, reader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection

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


def open_database() -> "Connection":
    """Open an empty in-memory DuckDB with BigQuery's time zone. Any thread may call its `interrupt`."""
    import duckdb

    return duckdb.connect(":memory:", config=_CONFIG).execute("SET TimeZone = 'UTC'")


def lock(connection: "Connection") -> None:
    """Lock the database after its tables are loaded: it has no external access afterwards."""
    # https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


_DEFAULTS = TableFile(file="table.csv")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTable:
    """A file of `[tables]` with its path on this machine, and its settings, whose own path is not used."""

    path: Path
    settings: TableFile = _DEFAULTS


def stored_tables(tables: Mapping[str, TableFile], *, folder: Path) -> dict[str, StoredTable]:
    """Return the tables of the settings file in `folder`."""
    return {name: StoredTable(path=(folder / table.file).absolute(), settings=table) for name, table in tables.items()}


def load_table(connection: "Connection", name: str, table: StoredTable | None) -> None:
    """Load a table under its BigQuery name from a CSV or Parquet file; without a file, the irises.

    Each column gets one of the types that types.py knows. Raises PermanentError with the table's name if the file is
    unreadable or has a column of another type.
    """
    import duckdb

    *parents, _ = parts = name.split(".")
    if len(parents) > 1:
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {identifier(*parents[:-1])}")
    if parents:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(*parents)}")
    create = f"CREATE TABLE {identifier(*parts)} AS "
    if table is None:
        connection.register("bundled", _iris()).execute(f"{create} FROM bundled").unregister("bundled")
        return
    path = table.path
    try:
        if not path.is_file() or path.stat().st_size == 0:
            raise UnreadableFile("it is missing or empty.", "Use a CSV file with a header line, or a Parquet file.")
        is_csv = path.suffix == ".csv"
        read = reader(path, table.settings) if is_csv else f"read_parquet({quoted(str(path))})"
        connection.execute(f"{create} SELECT {_columns(connection, read, table.settings)} FROM {read}")  # noqa: S608
    except UnreadableFile as error:
        raise PermanentError(f'tables."{name}": {path}: {error}', advice=error.advice) from error
    except duckdb.Error as error:
        found = cause(str(error), path, table.settings) if path.suffix == ".csv" else _summary(error)
        advice = getattr(found, "advice", "Use a CSV file with a header line, or a Parquet file.")
        raise PermanentError(f'tables."{name}": {path}: {found}', advice=advice) from error


def _columns(connection: "Connection", read: str, settings: TableFile) -> str:
    """Return the select list that gives each column a type that types.py knows."""
    described = connection.sql(f"FROM {read}")
    parts = []
    for name, type_ in zip(described.columns, described.types, strict=True):
        column = identifier(name)
        known = stored_type(type_)
        if known is None:
            problem = f'the column "{name}" has the type {type_}, which BigQuery lacks.'
            raise UnreadableFile(problem, "Store it as another type.")
        is_bytes = settings.types.get(name) == "BYTES"
        value = f"from_base64({column})" if is_bytes else f"CAST({column} AS {known})"
        parts.append(f"{value} AS {column}")
    return ", ".join(parts)


def _summary(error: Exception) -> str:
    """Return DuckDB's message without its error class and its suggestions."""
    lines = str(error).partition("Error: ")[2].partition("\n\n")[0].splitlines()[:2]
    return " ".join(line.strip() for line in lines).rstrip(".!") + "."


def _iris() -> object:
    """Return Fisher's irises with the columns and species of BigQuery's public data set."""
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    frame = bunch.data.set_axis(["sepal_length", "sepal_width", "petal_length", "petal_width"], axis="columns")
    return frame.assign(species=bunch.target_names[bunch.target].astype(object))
