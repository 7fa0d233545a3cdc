"""SQL in the local warehouse reaches the known tables and nothing else."""
# ruff: noqa: S608  the tests assemble queries

from pathlib import Path
from threading import Timer, enumerate as threads

import duckdb
import pandas as pd
import pytest

from tests.platforms.orders import orders_model, orders_tables
from tests.platforms.progress import RecordedProgress
from tests.waiting import wait_until
from workers.errors import JobCancelled, PermanentError
from workers.platforms.embedded.warehouse.sql import IRIS, load_tables, open_database
from workers.platforms.embedded.warehouse.warehouse import read_examples


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return orders_tables(tmp_path_factory.mktemp("orders"))


def read(tables: dict[str, Path], query: str, progress: RecordedProgress | None = None) -> int:
    """Return the number of rows that a training would learn from."""
    examples = read_examples(orders_model(query=query), tables=tables, progress=progress or RecordedProgress())
    return len(examples.labels)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT (SELECT content FROM read_text('/etc/passwd')) AS status, 1 AS one",
        "SELECT * FROM glob('*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        "SELECT read_text('/etc/passwd') AS status, 1 AS one",
        "SELECT getenv('HOME') AS status, 1 AS one",
        "WITH leak AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM leak",
        "COPY (SELECT 1) TO '/tmp/leak.csv'",
        "ATTACH '/tmp/leak.db' AS leak",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET memory_limit = '1TB'",
        "CREATE TABLE leak AS SELECT 1",
        "EXPORT DATA OPTIONS(uri='gs://leak') AS SELECT 1",
        "SELECT * FROM shop.orders; COPY shop.orders TO '/tmp/leak.csv'",
        "SELECT * FROM EXTERNAL_QUERY('connection', 'SELECT 1')",
        "SELECT * FROM information_schema.tables",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000 + " AS status",
    ],
)
def test_query_beyond_the_known_tables_is_refused(tables: dict[str, Path], query: str) -> None:
    with pytest.raises(PermanentError, match=r"^models\.orders\.query: ") as caught:
        read(tables, query)
    assert caught.value.advice


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '{tmp}/leak.csv'",
        "ATTACH '{tmp}/leak.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "FROM duckdb_secrets_of_python",
    ],
)
def test_duckdb_has_no_access_to_files_networks_or_settings(tmp_path: Path, sql: str) -> None:
    """A second barrier behind the translation."""
    duckdb_secrets_of_python = pd.DataFrame({"secret": [1]})
    with open_database() as connection:
        load_tables(connection, frozenset({IRIS}), files={})
        counted = connection.execute('SELECT COUNT(*) FROM "bigquery-public-data".ml_datasets.iris').fetchone()
        assert counted == (150,)
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(tmp=tmp_path)).fetchall()
    assert len(duckdb_secrets_of_python) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "table",
    [
        "`my-project.shop.orders`",
        "my-project.shop.orders",
        "`my-project`.shop.orders",
        "`my-project`.`shop`.`orders`",
        "`my-project.shop`.orders",
        "shop.orders",
        "`shop.orders`",
    ],
)
def test_table_may_be_quoted_in_every_way_of_bigquery(tables: dict[str, Path], table: str) -> None:
    """Its last name is its alias."""
    query = f"SELECT orders.* EXCEPT(day) FROM {table}"
    assert read(tables, query) == 5


def test_syntax_of_bigquery_is_translated(tables: dict[str, Path]) -> None:
    """IF, SAFE_DIVIDE, EXTRACT, EXCEPT and a comma join."""
    query = """
        WITH o AS (SELECT *, EXTRACT(DAYOFWEEK FROM day) AS weekday FROM shop.orders)
        SELECT IF(amount > 5, 'much', 'little') AS size, SAFE_DIVIDE(amount, weekday - 5) AS ratio, status
        FROM o, UNNEST([1, 2]) AS twice;
    """
    assert read(tables, query) == 10


@pytest.mark.parametrize("table", ["empty", "gone", "binary"])
def test_unreadable_table_file_is_refused_with_its_setting(tables: dict[str, Path], table: str) -> None:
    with pytest.raises(PermanentError, match=rf'^tables\."shop\.{table}": .*{table}\.(csv|parquet)') as caught:
        read(tables, f"SELECT * FROM shop.{table}")
    assert caught.value.advice


def test_unknown_table_is_refused_with_the_known_ones(tables: dict[str, Path]) -> None:
    with pytest.raises(PermanentError, match=r'"shop\.order".*iris.*my-project\.shop\.orders') as caught:
        read(tables, "SELECT * FROM shop.order")
    assert "[tables]" in caught.value.advice


def test_cancelled_job_stops_its_running_query(tables: dict[str, Path]) -> None:
    """The query would run for years."""
    many = "UNNEST(GENERATE_ARRAY(1, 100000))"
    query = f"SELECT SUM(a * b * c * d) AS status, 1 AS one FROM {many} a, {many} b, {many} c, {many} d"
    progress = RecordedProgress()
    timer = Timer(0.5, progress.cancelled.set)
    timer.start()
    try:
        with pytest.raises(JobCancelled):
            read(tables, query, progress)
    finally:
        timer.cancel()
    wait_until(lambda: not any(thread.name == "warehouse" for thread in threads()))
