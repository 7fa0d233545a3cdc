"""Files of `[tables]`: their types, encodings and NULLs, and the cause if one cannot be read."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from workers.contract.table_files import TableFile
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse.sql import columns, fetch_table, read_query
from workers.platforms.embedded.warehouse.tables import StoredTable, open_database


def read(path: Path, **settings: Any) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Return the types of the columns by name, and the rows."""
    table = StoredTable(path=path, settings=TableFile(file=path.name, **settings))
    with open_database() as connection:
        query = read_query(connection, "SELECT * FROM p.d.t", files={"p.d.t": table})
        rows = [tuple(row.values()) for row in fetch_table(connection, query).to_pylist()]
        return {column.name: column.type for column in columns(query)}, rows


def csv(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_types_of_csv_columns_are_detected(tmp_path: Path) -> None:
    text = "i,f,s,b,d,t,at,zip\n1,1.5,x,true,2026-01-02,03:04:05,2026-01-02 03:04:05,01/02/2026\n"
    types, rows = read(csv(tmp_path, text))
    assert list(types.values()) == ["INT64", "FLOAT64", "STRING", "BOOL", "DATE", "TIME", "DATETIME", "STRING"]
    moment = datetime(2026, 1, 2, 3, 4, 5)
    assert rows == [(1, 1.5, "x", True, date(2026, 1, 2), time(3, 4, 5), moment, "01/02/2026")]


def test_declared_types_replace_the_detected_ones(tmp_path: Path) -> None:
    text = "zip,price,at,raw\n00123,1.10,2026-01-02 03:04:05+01,YWI=\n"
    types, rows = read(
        csv(tmp_path, text), types={"zip": "STRING", "price": "NUMERIC", "at": "TIMESTAMP", "raw": "BYTES"}
    )
    assert types == {"zip": "STRING", "price": "NUMERIC", "at": "TIMESTAMP", "raw": "BYTES"}
    assert rows == [("00123", Decimal("1.100000000"), datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC), b"ab")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_that_of_the_header(tmp_path: Path, delimiter: str) -> None:
    assert read(csv(tmp_path, f"a{delimiter}b\n1{delimiter}2\n"))[1] == [(1, 2)]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_encoding_is_that_of_the_settings(tmp_path: Path, encoding: str) -> None:
    assert read(csv(tmp_path, "a,b\n1,café\n".encode(encoding)), encoding=encoding)[1] == [(1, "café")]


def test_null_is_nothing_or_the_word_of_the_settings(tmp_path: Path) -> None:
    """With a word, nothing between two delimiters is an empty string, as in BigQuery."""
    path = csv(tmp_path, 'a,b\n"",NA\n,y\n')
    assert read(path)[1] == [("", "NA"), (None, "y")]
    assert read(path, null="NA")[1] == [("", None), ("", "y")]


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        ("a,b\n1,x\nn/a,y\n", {"types": {"a": "INT64"}}, ['line 3: "n/a" in the column a is no INT64', "null ="]),
        ("a,b\n1,2\n3\n", {}, ["line 3 has 1 value, and the header 2"]),
        ("a,b\n1,2\n3,4,5\n", {}, ["line 3 has 3 values, and the header 2"]),
        ('a,b\n1,2\n"open,4\n', {}, ["a quote is not closed"]),
        ("a,b\n1,na\xefve\n".encode("latin-1"), {}, ["not encoded in utf-8", '"latin-1"']),
        ("a;b\n1;2\n", {"delimiter": ","}, ['one column, "a;b"', 'Set delimiter to ";"']),
        ("a,A\n1,2\n", {}, ['more than one column "a"']),
        ("1.5,2\n3,4\n", {}, ['no header: it has the value "1.5"']),
        ("a,\n1,2\n", {}, ["column without a name"]),
        ("a,b\n1,2\n", {"types": {"c": "INT64"}}, ['types names "c", and it has a, b']),
        ("", {}, ["missing or empty"]),
    ],
)
def test_unreadable_csv_names_the_cause(
    tmp_path: Path, content: str | bytes, settings: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(PermanentError, match=r'^tables\."p\.d\.t": .*t\.csv: ') as caught:
        read(csv(tmp_path, content), **settings)
    text = f"{caught.value} {caught.value.advice}"
    assert [word for word in words if word not in text] == []


def test_error_behind_the_sample_names_its_line(tmp_path: Path) -> None:
    path = csv(tmp_path, "a\n" + "1\n" * 30_000 + "x\n")
    with pytest.raises(PermanentError, match='line 30002: "x" in the column a is no INT64'):
        read(path)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("1::TINYINT", "INT64"),
        ("1::UBIGINT", "INT64"),
        ("1.5::FLOAT", "FLOAT64"),
        ("1.5::DECIMAL(10,2)", "NUMERIC"),
        ("'a'::ENUM('a', 'b')", "STRING"),
        ("TIMESTAMP_NS '2026-01-02 03:04:05'", "DATETIME"),
        ("[1::INTEGER]", "ARRAY<INT64>"),
        ("{'a': 1::INTEGER, 'b': ['x']}", "STRUCT<a INT64, b ARRAY<STRING>>"),
    ],
)
def test_types_of_parquet_become_bigquerys(tmp_path: Path, value: str, type_: str) -> None:
    path = tmp_path / "t.parquet"
    duckdb.sql(f"COPY (SELECT {value} AS x) TO '{path}'")
    assert read(path)[0] == {"x": type_}


def test_parquet_type_without_a_counterpart_is_refused_with_its_column(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    duckdb.sql(f"COPY (SELECT MAP {{'a': 1}} AS x) TO '{path}'")
    with pytest.raises(PermanentError, match='the column "x" has the type MAP') as caught:
        read(path)
    assert caught.value.advice
