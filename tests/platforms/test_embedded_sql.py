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
from workers.platforms.embedded.warehouse.sql import columns, fetch_table, read_query
from workers.platforms.embedded.warehouse.tables import IRIS, StoredTable, load_table, lock, open_database
from workers.platforms.embedded.warehouse.warehouse import read_examples


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredTable]:
    return orders_tables(tmp_path_factory.mktemp("orders"))


def read(tables: dict[str, StoredTable], query: str, progress: RecordedProgress | None = None) -> int:
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
def test_query_beyond_the_known_tables_is_refused(tables: dict[str, StoredTable], query: str) -> None:
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
        load_table(connection, IRIS, None)
        lock(connection)
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
def test_table_may_be_quoted_in_every_way_of_bigquery(tables: dict[str, StoredTable], table: str) -> None:
    """Its last name is its alias."""
    query = f"SELECT orders.* EXCEPT(day) FROM {table}"
    assert read(tables, query) == 5


def test_wildcard_table_is_the_union_of_the_tables_with_its_prefix(tmp_path: Path) -> None:
    """Columns are those of the last table; a column that another one lacks is NULL there."""
    files = {}
    for year, text in {"2024": "n\n1\n", "2025": "n,k\n2,a\n", "2026": "n,k\n3,b\n"}.items():
        files[f"p.d.t_{year}"] = StoredTable(path=tmp_path / f"{year}.csv")
        files[f"p.d.t_{year}"].path.write_text(text)
    sql = "SELECT n, k, _TABLE_SUFFIX AS year FROM `p.d.t_*` WHERE _TABLE_SUFFIX BETWEEN '2024' AND '2025' ORDER BY n"
    with open_database() as connection:
        query = read_query(connection, sql, files=files)
        assert [tuple(row.values()) for row in fetch_table(connection, query).to_pylist()] == [
            (1, None, "2024"),
            (2, "a", "2025"),
        ]


def test_structs_and_arrays_of_parquet_have_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = "SELECT {'a': 1::BIGINT, 'b': [{'c': 'x'}, {'c': 'y'}]} AS s UNION ALL SELECT NULL"
    duckdb.sql(f"COPY ({rows}) TO '{path}'")
    with open_database() as connection:
        query = read_query(
            connection,
            "SELECT s.a, (SELECT MAX(e.c) FROM UNNEST(s.b) AS e) AS c, s FROM d.t",
            files={"d.t": StoredTable(path=path)},
        )
        assert [column.type for column in columns(query)] == [
            "INT64",
            "STRING",
            "STRUCT<a INT64, b ARRAY<STRUCT<c STRING>>>",
        ]
        found = fetch_table(connection, query).to_pylist()
    assert sorted((row["column0"], row["column1"]) for row in found if row["column0"]) == [(1, "y")]


@pytest.mark.parametrize(
    ("sql", "features"),
    [
        ("SELECT day, status FROM shop.orders", {"day": "STRING"}),
        (
            "SELECT STRUCT(amount, channel AS c) AS s, status FROM shop.orders -- end",
            {"s_amount": "DOUBLE", "s_c": "STRING"},
        ),
    ],
)
def test_columns_become_the_features_of_bigquery_ml(
    tables: dict[str, StoredTable], sql: str, features: dict[str, str]
) -> None:
    examples = read_examples(orders_model(query=sql), tables=tables, progress=RecordedProgress())
    assert {feature.name: feature.type for feature in examples.features} == features
    if "day" in features:
        assert examples.frame["day"].iloc[0] == "2026-01-01"


def test_syntax_of_bigquery_is_translated(tables: dict[str, StoredTable]) -> None:
    """IF, SAFE_DIVIDE, EXTRACT, EXCEPT and a comma join."""
    query = """
        WITH o AS (SELECT *, EXTRACT(DAYOFWEEK FROM day) AS weekday FROM shop.orders)
        SELECT IF(amount > 5, 'much', 'little') AS size, SAFE_DIVIDE(amount, weekday - 5) AS ratio, status
        FROM o, UNNEST([1, 2]) AS twice;
    """
    assert read(tables, query) == 10


@pytest.mark.parametrize("table", ["empty", "gone", "binary"])
def test_unreadable_table_file_is_refused_with_its_setting(tables: dict[str, StoredTable], table: str) -> None:
    with pytest.raises(PermanentError, match=rf'^tables\."shop\.{table}": .*{table}\.(csv|parquet)') as caught:
        read(tables, f"SELECT * FROM shop.{table}")
    assert caught.value.advice


def test_unknown_table_is_refused_with_the_known_ones(tables: dict[str, StoredTable]) -> None:
    with pytest.raises(PermanentError, match=r'"shop\.order".*iris.*my-project\.shop\.orders') as caught:
        read(tables, "SELECT * FROM shop.order")
    assert "[tables]" in caught.value.advice


def test_cancelled_job_stops_its_running_query(tables: dict[str, StoredTable]) -> None:
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
