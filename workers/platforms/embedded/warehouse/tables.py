"""Tables of the local warehouse: files under their BigQuery names, and the public irises, in a locked DuckDB."""

from pathlib import Path
from typing import TYPE_CHECKING

from workers.errors import PermanentError
from workers.platforms.embedded.googlesql.values import identifier

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


def load_table(connection: "Connection", name: str, file: Path | None) -> None:
    """Load a table under its BigQuery name from a CSV or Parquet file; without a file, the irises.

    Raises PermanentError with the table's name if the file is unreadable.
    """
    import duckdb

    *parents, table = name.split(".")
    if len(parents) > 1:
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {identifier(*parents[:-1])}")
    if parents:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(*parents)}")
    create = f"CREATE TABLE {identifier(*parents, table)} AS FROM "
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
