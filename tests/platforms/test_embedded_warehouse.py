"""What only the warehouse on this machine promises: which data it takes, and what it keeps in its folder."""
# ruff: noqa: S608  queries are what these tests are about, and are made of parts.

import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import onnxruntime
import pytest

from tests.platforms.orders import exported, model, orders_warehouse
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse.sql import IRIS
from workers.platforms.embedded.warehouse.warehouse import KEPT_TRAININGS, EmbeddedWarehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> EmbeddedWarehouse:
    return orders_warehouse(tmp_path)


def test_missing_values_do_not_stop_a_training(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """Rows without a label are left out and counted; missing numbers, strings and booleans are learned around."""
    progress = RecordedProgress()
    training = warehouse.train(model=model(), version=1, progress=progress)
    assert training.rows == 5
    assert "1 row without a label: left out" in training.note
    signature, _ = exported(warehouse, model(), tmp_path / "out")
    assert signature == {
        "label": "status",
        "task": "classification",
        "inputs": [
            {"name": "amount", "type": "FLOAT"},
            {"name": "channel", "type": "STRING"},
            {"name": "returning", "type": "BOOL"},
        ],
        "classes": ["kept", "returned"],
    }


@pytest.mark.parametrize(
    ("label", "classes"),
    [("n > 10", ["false", "true"]), ("MOD(n, 3)", ["0", "1", "2"]), ("IF(n > 10, 'b', 'a')", ["a", "b"])],
)
def test_labels_may_be_booleans_integers_or_strings(
    warehouse: EmbeddedWarehouse, tmp_path: Path, label: str, classes: list[str]
) -> None:
    """A served class is always a string, as BigQuery ML's are."""
    query = f"SELECT n, {label} AS status FROM UNNEST(GENERATE_ARRAY(1, 30)) AS n"
    signature, graph = exported(warehouse, model(query=query), tmp_path / "out")
    assert signature["classes"] == classes
    predicted, probabilities = onnxruntime.InferenceSession(graph).run(None, {"n": np.array([[1.0]], np.float32)})
    assert predicted[0] in classes
    assert probabilities.shape == (1, len(classes))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT NULL AS nothing, status FROM shop.orders", '"nothing" is NULL'),
        ("SELECT amount + 1, status FROM shop.orders", "no name"),
        ("SELECT amount AS predicted_status, status FROM shop.orders", "predicted_status"),
        ("SELECT 1e300 AS huge, status FROM shop.orders", '"huge"'),
        ("SELECT CAST(n AS STRING) AS id, n > 5 AS status FROM UNNEST(GENERATE_ARRAY(1, 1001)) AS n", '"id" has 1,001'),
        ("SELECT n, n AS status FROM UNNEST(GENERATE_ARRAY(1, 51)) AS n", "51 different"),
        ("SELECT n, n > 5 AS status FROM UNNEST(GENERATE_ARRAY(1, 1000001)) AS n", "1,000,000 rows"),
    ],
)
def test_data_that_cannot_be_learned_from_is_named(warehouse: EmbeddedWarehouse, query: str, words: str) -> None:
    """The message names the column and what is wrong with it."""
    with pytest.raises(PermanentError, match=words) as caught:
        warehouse.train(model=model(query=query), version=1, progress=RecordedProgress())
    assert caught.value.advice


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"label": "petal_width"}, "label", ["petal_width", "FLOAT64"]),
        ({"query": "SELECT * FROM"}, "query", ["parse"]),
        ({"query": "SELEC * FROM x"}, "query", ["SELEC"]),
        ({"query": " -- nothing"}, "query", ["nothing"]),
        ({"query": "SELECT 'open"}, "query", ["quote"]),
        ({"query": "SELECT * FROM shop.nowhere"}, "query", ['"shop.nowhere"']),
        ({"query": f"SELECT * FROM `{IRIS}` WHERE species = 'setosa'"}, "label", ['"setosa"']),
        ({"query": f"SELECT *, DATE '2026-01-01' AS day FROM `{IRIS}`"}, "query", ['"day"', "DATE"]),
        ({"query": f"SELECT *, [1, 2] AS parts FROM `{IRIS}`"}, "query", ['"parts"', "ARRAY<INT64>"]),
        ({"query": f"SELECT *, STRUCT(1 AS one) AS both FROM `{IRIS}`"}, "query", ['"both"', "STRUCT<one INT64>"]),
        ({"query": f"SELECT *, Sepal_Width FROM `{IRIS}`"}, "query", ['"sepal_width"', "more than one"]),
        ({"query": f"SELECT * FROM `{IRIS}`; SELECT 1"}, "query", ["one query", "2"]),
    ],
)
def test_what_bigquery_would_take_or_say_otherwise_is_named_with_its_field(
    warehouse: EmbeddedWarehouse, changes: dict[str, str], field: str, words: list[str]
) -> None:
    """The words are this engine's own, and so are the types that it cannot learn from."""
    settings = {"label": "species", "query": f"SELECT * FROM `{IRIS}`", **changes}
    with pytest.raises(PermanentError) as caught:
        warehouse.train(model=model(**settings), version=1, progress=RecordedProgress())
    message = str(caught.value)
    assert message.startswith(f"models.orders.{field}: ")
    assert [word for word in words if word not in message] == []
    assert message.endswith(".")
    assert caught.value.advice


def test_an_export_replaces_whatever_lay_at_the_address(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """What an attempt that died left in the folder is gone; a bucket's staging never gives one address twice."""
    warehouse.train(model=model(), version=1, progress=RecordedProgress())
    target = tmp_path / "staging"
    target.mkdir()
    (target / "left-over").write_text("of an attempt that died")
    warehouse.export(model=model(), version=1, to=str(target), progress=RecordedProgress())
    names = {path.name for path in target.iterdir()}
    assert names and "left-over" not in names


def test_the_same_rows_give_the_same_files(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """Two trainings of one query export the same bytes, though the query's order is not its own."""
    query = f"SELECT * FROM `{IRIS}` ORDER BY RAND()"
    for type_ in ("logistic_reg", "boosted_tree_classifier"):
        trained = model(type=type_, label="species", query=query)
        assert exported(warehouse, trained, tmp_path / "a") == exported(warehouse, trained, tmp_path / "b")


def test_only_the_newest_trainings_are_kept(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """What the store has published needs no second copy; the training just made always stays."""
    for version in range(KEPT_TRAININGS + 3, 1, -1):
        warehouse.train(model=model(type="linear_reg", label="amount"), version=version, progress=RecordedProgress())
    left = {path.name for path in (tmp_path / "home/warehouse/orders").iterdir()}
    assert left == {f"v{version}" for version in range(2, KEPT_TRAININGS + 2)}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"training": 1}', b"\xff"])
def test_a_damaged_record_counts_as_no_training(warehouse: EmbeddedWarehouse, tmp_path: Path, damage: bytes) -> None:
    """It is neither evaluated nor trusted by the next attempt, which trains again."""
    progress = RecordedProgress()
    first = warehouse.train(model=model(), version=1, progress=progress)
    (tmp_path / "home/warehouse/orders/v1/training.json").write_bytes(damage)
    with pytest.raises(PermanentError, match="no finished training"):
        warehouse.evaluate(model=model(), version=1, progress=progress)
    assert warehouse.train(model=model(), version=1, progress=progress).identity != first.identity


@pytest.mark.parametrize("type_", ["linear_reg", "boosted_tree_regressor"])
def test_a_label_that_no_answer_could_hold_is_named(warehouse: EmbeddedWarehouse, type_: str) -> None:
    """Answers are 32-bit floats: a label beyond them would be predicted as infinite."""
    query = "SELECT n, n * 1e39 AS status FROM UNNEST(GENERATE_ARRAY(1, 30)) AS n"
    with pytest.raises(PermanentError, match="32-bit") as caught:
        warehouse.train(model=model(type=type_, query=query), version=1, progress=RecordedProgress())
    assert caught.value.advice


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message has the path, and is no traceback."""
    (tmp_path / "home").write_text("a file, not a folder")
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={})
    with pytest.raises(PermanentError, match="home"):
        warehouse.train(
            model=model(label="species", query=f"SELECT * FROM `{IRIS}`"), version=1, progress=RecordedProgress()
        )


def test_an_address_in_the_cloud_is_refused(warehouse: EmbeddedWarehouse) -> None:
    """This warehouse writes to folders, and says so."""
    warehouse.train(model=model(), version=1, progress=RecordedProgress())
    with pytest.raises(PermanentError, match="gs://bucket/x"):
        warehouse.export(model=model(), version=1, to="gs://bucket/x", progress=RecordedProgress())


def test_two_trainings_at_once_do_not_disturb_each_other(warehouse: EmbeddedWarehouse) -> None:
    """Jobs run in threads of one process: each training ends with its own model."""
    models = [model(name=f"m{i}", label="species", query=f"SELECT * FROM `{IRIS}` LIMIT {130 + i}") for i in range(3)]
    rows: dict[str, int] = {}

    def train(trained: Model) -> None:
        rows[trained.name] = warehouse.train(model=trained, version=1, progress=RecordedProgress()).rows

    running = [Thread(target=train, args=(trained,)) for trained in models]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert rows == {"m0": 130, "m1": 131, "m2": 132}


def test_importing_the_adapter_imports_no_library() -> None:
    """A worker starts without scikit-learn, DuckDB and their like; they come with the first training."""
    program = (
        "import sys, workers.platforms.embedded.warehouse.warehouse, workers.platforms.embedded.artifacts;"
        "print([name for name in ('sklearn', 'duckdb', 'sqlglot', 'skl2onnx', 'onnx', 'onnxruntime', 'pandas', 'numpy')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
