"""The local warehouse gives the answers of Google's implementation of GoogleSQL, and refuses what it refuses."""

import gc
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

from tests.platforms.googlesql_peer import google, plain, warehouse
from workers.platforms.embedded.googlesql.errors import Refused
from workers.platforms.embedded.googlesql.functions import functions
from workers.platforms.embedded.googlesql.library import library
from workers.platforms.embedded.warehouse.sql import columns, fetch_table, read_query
from workers.platforms.embedded.warehouse.tables import open_database

CASES = [
    pytest.param(case, id=f"{name}-{number}")
    for rows in functions().values()
    for name, row in rows.items()
    for number, case in enumerate(row.cases)
]
DOCUMENTED = [
    pytest.param(case, value, id=f"{name}-{number}")
    for rows in functions().values()
    for name, row in rows.items()
    for number, (case, value) in enumerate(row.documented.items())
]
QUERIES = [
    text for text in Path(__file__).with_name("googlesql_queries.sql").read_text().split("\n;\n") if text.strip()
]
VALUES = ["NULL", "0", "-3", "7", "CAST('nan' AS FLOAT64)", "CAST('-inf' AS FLOAT64)", "0.5", "-0.0", "1e308"]
TEXTS = ["NULL", "''", "'a'", "'Ab '", "'12'", "'1e3'", "'2026-01-31'", "'straße'", "'nan'", "' 7'", "'0x1F'", "'true'"]
TYPES = ["INT64", "FLOAT64", "NUMERIC", "STRING", "BOOL", "DATE", "TIMESTAMP", "BYTES", "DATETIME", "TIME"]


@pytest.mark.parametrize("case", CASES)
def test_function_has_the_values_of_googles_implementation(case: str) -> None:
    sql = f"SELECT {case}"
    assert warehouse(sql) == google(sql)


@pytest.mark.parametrize(("case", "value"), DOCUMENTED)
def test_function_without_a_peer_has_the_value_of_the_reference(case: str, value: str) -> None:
    """The values are those of the examples in BigQuery's reference, in the order of the rows."""
    with open_database() as connection:
        rows = fetch_table(connection, read_query(connection, f"SELECT {case}", files={})).to_pylist()
    assert ", ".join(str(plain(row["column0"])) for row in rows) == value


def test_every_function_has_cases_unless_it_is_random() -> None:
    listed = [(name, row) for rows in functions().values() for name, row in rows.items()]
    without = {name for name, row in listed if not row.cases and not row.documented}
    assert without == {"rand", "generate_uuid", "approx_count_distinct", "ml.hash_bucketize"}


@pytest.mark.parametrize("sql", QUERIES)
def test_query_has_the_rows_of_googles_implementation(sql: str) -> None:
    answer = google(sql)
    assert answer is not None
    assert warehouse(sql) == answer


@given(
    operator=st.sampled_from(["+", "-", "*", "/", "=", "!=", "<", "<=", ">", ">="]),
    left=st.sampled_from(VALUES),
    right=st.sampled_from(VALUES),
)
def test_operators_agree_on_special_numbers(operator: str, left: str, right: str) -> None:
    """In a row, so that no operand is a literal."""
    sql = f"SELECT a {operator} b AS x FROM (SELECT {left} AS a, {right} AS b)"  # noqa: S608  samples
    assert warehouse(sql) == google(sql)


@given(text=st.sampled_from(TEXTS), type_=st.sampled_from(TYPES), prefix=st.sampled_from(["", "SAFE_"]))
def test_casts_of_text_agree(text: str, type_: str, prefix: str) -> None:
    sql = f"SELECT {prefix}CAST(s AS {type_}) AS x FROM (SELECT CAST({text} AS STRING) AS s)"  # noqa: S608  samples
    assert warehouse(sql) == google(sql)


@given(number=st.sampled_from(VALUES), type_=st.sampled_from(TYPES), kind=st.sampled_from(["INT64", "FLOAT64"]))
def test_casts_of_numbers_agree(number: str, type_: str, kind: str) -> None:
    sql = f"SELECT CAST(n AS {type_}) AS x FROM (SELECT SAFE_CAST({number} AS {kind}) AS n)"  # noqa: S608  samples
    assert warehouse(sql) == google(sql)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT LENGTHS('a')", ["line 1, column 8", "Function not found: LENGTHS"]),
        ("SELECT x + 1 FROM (SELECT 'a' AS x)", ["line 1, column 8", "operator +", "STRING, INT64"]),
        ("SELECT a FROM (SELECT 1 AS b)", ["Unrecognized name: a"]),
        ("SELECT 1; SELECT 2", ["Syntax error"]),
        ("SELECT\n  1 +", ["line 2", "Syntax error"]),
        ("SELECT SESSION_USER()", ["function SESSION_USER is not available"]),
        ("SELECT KEYS.NEW_KEYSET('AEAD_AES_GCM_256')", ["function KEYS.NEW_KEYSET is not available"]),
        ("SELECT ARRAY_TRANSFORM([1], x -> ERROR('x'))", ["x"]),
        ("DELETE FROM t WHERE TRUE", ["a query"]),
    ],
)
def test_refusal_has_googlesqls_words_and_advice(sql: str, words: list[str]) -> None:
    with open_database() as connection, pytest.raises(Refused) as caught:
        fetch_table(connection, read_query(connection, sql, files={}))
    assert [word for word in words if word not in caught.value.problem] == []
    assert caught.value.advice


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "ABS(" * 400 + "1" + ")" * 400 + " AS x",
        "SELECT " + "SAFE_DIVIDE(" * 40 + "x" + ", 2.5)" * 40 + " AS x FROM UNNEST([1.5]) AS x",
        "SELECT 1 AS x" + " UNION ALL SELECT 1" * 3000,
        "SELECT " + "(SELECT " * 150 + "1" + ")" * 150 + " AS x",
        "SELECT " + "-" * 2000 + " 1 AS x",
    ],
)
def test_query_that_is_nested_deeply_is_answered_or_refused(sql: str) -> None:
    with open_database() as connection:
        try:
            assert fetch_table(connection, read_query(connection, sql, files={})).num_rows >= 1
        except Refused as error:
            assert error.advice


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT 9223372036854775807 + x AS y FROM UNNEST([1]) AS x", "INT64 overflow"),
        ("SELECT SUM(x) AS y FROM UNNEST([9223372036854775807, 1]) AS x", "INT64 overflow"),
        ("SELECT -x AS y FROM UNNEST([-9223372036854775808]) AS x", "INT64 overflow"),
        ("SELECT 1 / x AS y FROM UNNEST([0]) AS x", "division by zero: 1 / 0"),
        ("SELECT CAST(x AS INT64) AS y FROM UNNEST(['1.5']) AS x", "Bad int64 value: 1.5"),
        ("SELECT [1][OFFSET(x)] AS y FROM UNNEST([1]) AS x", "Array index 1 is out of bounds"),
    ],
)
def test_error_while_running_has_googlesqls_words(sql: str, words: str) -> None:
    with open_database() as connection, pytest.raises(Refused) as caught:
        fetch_table(connection, read_query(connection, sql, files={}))
    assert words in caught.value.problem
    assert "DuckDB" not in caught.value.problem


def test_random_numbers_and_current_times_differ_by_row_and_run() -> None:
    sql = "SELECT COUNT(DISTINCT RAND()) AS numbers, COUNT(DISTINCT GENERATE_UUID()) AS ids FROM UNNEST([1, 2, 3])"
    with open_database() as connection:
        query = read_query(connection, sql, files={})
        assert fetch_table(connection, query).to_pylist() == [{"column0": 3, "column1": 3}]
        assert [column.type for column in columns(query)] == ["INT64", "INT64"]


@pytest.mark.parametrize("text", ["a' OR '1'='1", 'a" OR "1"="1', "{0}", "a\\", "a\n--b", "`x`", "\0", "é\u2028"])
def test_text_of_a_query_is_always_a_value(text: str) -> None:
    """Also through functions of Google's implementation, which get literals as text."""
    literal = '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'
    sql = f"SELECT {literal} AS x, REPEAT({literal}, 1) AS y, [{literal}] AS z"
    answer = warehouse(sql)
    assert answer is not None
    assert answer.rows == [(("str", text), ("str", text), [("str", text)])]


def test_prepared_expressions_are_freed_with_their_query() -> None:
    """A worker runs for months."""
    with open_database() as connection:
        query = read_query(connection, "SELECT FORMAT('%03d', x) AS y FROM UNNEST([1]) AS x", files={})
        fetch_table(connection, query)
        number = query.scalars[0].prepared_query_id
    assert number is not None
    del query, connection
    gc.collect()
    request = service.EvaluateQueryRequest(prepared_query_id=number)
    with pytest.raises(Refused):
        library().call("EvaluateQuery", request, service.EvaluateQueryResponse)
