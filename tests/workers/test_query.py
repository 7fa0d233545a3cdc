"""`seatrial query` in its own process, with the settings of a folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.platforms.googlesql_peer import google


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", "query", *words],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_answer_is_json_with_names_types_and_values(tmp_path: Path) -> None:
    (tmp_path / "trips.csv").write_text("id,fare\n1,2.5\n2,\n")
    (tmp_path / "seatrial.toml").write_text('[tables]\n"p.d.trips" = "trips.csv"\n')
    sql = """
        SELECT id, fare, CAST('-inf' AS FLOAT64) AS low, NUMERIC '1.50' AS exact, [1, 2] AS list,
          STRUCT('x' AS a, TRUE) AS both, TIMESTAMP '2026-01-02 03:04:05.5+00' AS at_, DATE '2026-01-02', b'ab' AS raw
        FROM p.d.trips ORDER BY id DESC
    """
    (tmp_path / "query.sql").write_text(sql)
    done = run(tmp_path, "--file", "query.sql")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert [(column["name"], column["type"]) for column in answer["columns"]] == [
        ("id", "INT64"),
        ("fare", "FLOAT64"),
        ("low", "FLOAT64"),
        ("exact", "NUMERIC"),
        ("list", "ARRAY<INT64>"),
        ("both", "STRUCT<a STRING, BOOL>"),
        ("at_", "TIMESTAMP"),
        ("f0_", "DATE"),
        ("raw", "BYTES"),
    ]
    rest = ["-Infinity", 1.5, [1, 2], {"a": "x", "_field_2": True}, "2026-01-02 03:04:05.500+00", "2026-01-02", "YWI="]
    assert answer["rows"] == [[2, None, *rest], [1, 2.5, *rest]]


@pytest.mark.parametrize(
    "value",
    [
        "TIMESTAMP '2026-01-02 03:04:05+00'",
        "TIMESTAMP '1969-12-31 23:59:59.000001+00'",
        "DATETIME '2026-01-02 03:04:05.120'",
        "TIME '03:04:05.120001'",
        "TIME '03:04:00'",
        "DATE '0001-01-01'",
    ],
)
def test_dates_and_times_have_the_text_of_a_cast(tmp_path: Path, value: str) -> None:
    [[text]] = json.loads(run(tmp_path, f"SELECT {value} AS x").stdout)["rows"]
    cast = google(f"SELECT CAST({value} AS STRING) AS x")
    assert cast is not None
    assert cast.rows == [(("str", text),)]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT FOO(1)", "line 1, column 8: Function not found: FOO."),
        ("SELECT 1 / x FROM UNNEST([0]) AS x", "division by zero: 1 / 0."),
        ("SELECT * FROM p.d.trips", 'there is no table "p.d.trips"'),
    ],
)
def test_refusal_has_status_1_and_advice(tmp_path: Path, sql: str, words: str) -> None:
    done = run(tmp_path, sql)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[0]
    assert len(done.stderr.splitlines()) == 2


def test_explain_prints_the_translation_and_runs_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "--explain", "SELECT UPPER('a') AS x, 1 / 0 AS y")
    assert done.returncode == 0
    assert done.stdout.startswith("SELECT ")
    assert "UPPER(" in done.stdout


def test_wrong_arguments_are_refused_with_the_usage(tmp_path: Path) -> None:
    for words in ((), ("SELECT 1", "--file", "x.sql"), ("--file", "missing.sql")):
        done = run(tmp_path, *words)
        assert done.returncode == 2
        assert "usage: seatrial query" in done.stderr
