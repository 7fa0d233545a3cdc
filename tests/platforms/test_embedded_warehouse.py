"""The local warehouse: which data it accepts, and what it stores in its folder."""
# ruff: noqa: S608  the tests assemble queries

import json
import subprocess
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import onnxruntime
import pytest

from tests.platforms.orders import orders_model, orders_warehouse, train_and_export
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse import features, warehouse as embedded_warehouse
from workers.platforms.embedded.warehouse.sql import IRIS
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.serving.servable import Servable
from workers.platforms.serving.tensors import InvalidRequest


@pytest.fixture
def warehouse(tmp_path: Path) -> EmbeddedWarehouse:
    return orders_warehouse(tmp_path)


def test_missing_values_do_not_stop_a_training(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """Rows without a label are skipped; missing numbers, strings and booleans are filled in."""
    training = warehouse.train(model=orders_model(), version=1, progress=RecordedProgress())
    assert training.rows == 5
    evaluation = warehouse.evaluate(model=orders_model(), version=1, progress=RecordedProgress())
    assert evaluation.means == {"amount": 5.6875}
    assert "1 row without a label skipped" in training.note
    signature, _ = train_and_export(warehouse, orders_model(), tmp_path / "out")
    assert signature == {
        "label": "status",
        "task": "classification",
        "output_type": "DOUBLE",
        "inputs": [
            {"name": "amount", "type": "DOUBLE", "mean": 5.6875},
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
    """The served classes are strings, as BigQuery ML's are."""
    query = f"SELECT n, {label} AS status FROM UNNEST(GENERATE_ARRAY(1, 30)) AS n"
    signature, graph = train_and_export(warehouse, orders_model(query=query), tmp_path / "out")
    assert signature["classes"] == classes
    predicted, probabilities = onnxruntime.InferenceSession(graph).run(None, {"n": np.array([[1.0]])})
    assert predicted[0] in classes
    assert probabilities.shape == (1, len(classes))


def test_unix_time_keeps_its_second_from_training_to_prediction(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """A float32 has steps of 128 s there."""
    query = "SELECT 1767225600 + n AS at_s, 3 * n AS delay FROM UNNEST(GENERATE_ARRAY(1, 30)) AS n"
    train_and_export(warehouse, orders_model(type="linear_reg", label="delay", query=query), tmp_path / "out")
    asked = [{"at_s": 1767225661}, {"at_s": 1767225661.25}]
    answer = json.loads(Servable(tmp_path / "out").predict(json.dumps({"instances": asked}).encode()))
    assert answer["predictions"] == [[pytest.approx(183, abs=1e-3)], [pytest.approx(183.75, abs=1e-3)]]


def test_missing_number_is_refused_with_its_mean_and_a_missing_string_has_a_category(
    warehouse: EmbeddedWarehouse, tmp_path: Path
) -> None:
    """As in BigQuery ML's exports: a number is not imputed, and NULL strings are one category."""
    train_and_export(warehouse, orders_model(), tmp_path / "out")
    servable, row = Servable(tmp_path / "out"), {"amount": 3.0, "channel": "_null_filler", "returning": True}
    null, unseen = (
        json.loads(servable.predict(json.dumps({"instances": [{**row, "channel": channel}]}).encode()))
        for channel in ("_null_filler", "never seen")
    )
    assert null != unseen
    with pytest.raises(
        InvalidRequest, match=r"key: amount .* Send one, such as 5\.6875, the mean of amount in training"
    ):
        servable.predict(json.dumps({"instances": [{**row, "amount": None}]}).encode())
    with pytest.raises(InvalidRequest, match=r'key: channel .* NULLs in training, they were the string "_null_filler"'):
        servable.predict(json.dumps({"instances": [{**row, "channel": None}]}).encode())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT NULL AS empty, status FROM shop.orders", '"empty" is NULL'),
        ("SELECT amount + 1, status FROM shop.orders", "column 1 has no name"),
        ("SELECT amount AS predicted_status, status FROM shop.orders", "predicted_status"),
        ("SELECT 1e300 AS huge, status FROM shop.orders", '"huge"'),
        ("SELECT CAST(n AS STRING) AS id, n > 5 AS status FROM UNNEST(GENERATE_ARRAY(1, 1001)) AS n", '"id" has 1,001'),
        ("SELECT n, n AS status FROM UNNEST(GENERATE_ARRAY(1, 51)) AS n", "51 different"),
    ],
)
def test_unlearnable_data_is_refused_with_its_column(warehouse: EmbeddedWarehouse, query: str, words: str) -> None:
    with pytest.raises(PermanentError, match=words) as caught:
        warehouse.train(model=orders_model(query=query), version=1, progress=RecordedProgress())
    assert caught.value.advice


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"label": "petal_width"}, "label", ["petal_width", "FLOAT64"]),
        ({"query": "SELEC * FROM x"}, "query", ["SELEC"]),
        ({"query": " -- comment"}, "query", ["Unexpected end of statement"]),
        ({"query": "SELECT 'open"}, "query", ["Unclosed string literal"]),
        ({"query": f"SELECT * FROM `{IRIS}` WHERE species = 'setosa'"}, "label", ['"setosa"']),
        ({"query": f"SELECT *, CURRENT_TIMESTAMP() AS moment FROM `{IRIS}`"}, "query", ['"moment"', "TIMESTAMP"]),
        ({"query": f"SELECT *, [1, 2] AS parts FROM `{IRIS}`"}, "query", ['"parts"', "ARRAY<INT64>"]),
        ({"query": f"SELECT *, STRUCT([1] AS one) AS both FROM `{IRIS}`"}, "query", ['"both_one"', "ARRAY<INT64>"]),
        ({"query": f"SELECT *, Sepal_Width FROM `{IRIS}`"}, "query", ['"sepal_width"', "more than one"]),
    ],
)
def test_local_limits_are_reported_with_the_field_of_the_settings(
    warehouse: EmbeddedWarehouse, changes: dict[str, str], field: str, words: list[str]
) -> None:
    """Cases beyond the contract suite, with messages and types of this warehouse."""
    settings = {"label": "species", "query": f"SELECT * FROM `{IRIS}`", **changes}
    with pytest.raises(PermanentError) as caught:
        warehouse.train(model=orders_model(**settings), version=1, progress=RecordedProgress())
    message = str(caught.value)
    assert message.startswith(f"models.orders.{field}: ")
    assert [word for word in words if word not in message] == []
    assert message.endswith(".")
    assert caught.value.advice


def test_too_many_rows_are_refused(warehouse: EmbeddedWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (embedded_warehouse, features):
        monkeypatch.setattr(module, "MAXIMUM_ROWS", 1_000)
    query = "SELECT n, n > 5 AS status FROM UNNEST(GENERATE_ARRAY(1, 1001)) AS n"
    with pytest.raises(PermanentError, match="1,000 rows"):
        warehouse.train(model=orders_model(query=query), version=1, progress=RecordedProgress())


def test_label_beyond_32_bit_floats_is_refused(warehouse: EmbeddedWarehouse) -> None:
    query = "SELECT n, n * 1e39 AS status FROM UNNEST(GENERATE_ARRAY(1, 30)) AS n"
    with pytest.raises(PermanentError, match="32-bit") as caught:
        warehouse.train(model=orders_model(type="linear_reg", query=query), version=1, progress=RecordedProgress())
    assert caught.value.advice


def test_export_replaces_existing_files(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """In a bucket this cannot happen: its staging addresses are unique."""
    warehouse.train(model=orders_model(), version=1, progress=RecordedProgress())
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "left-over").write_text("of a failed attempt")
    warehouse.export(model=orders_model(), version=1, to=str(staging), progress=RecordedProgress())
    names = {path.name for path in staging.iterdir()}
    assert names and "left-over" not in names


def test_same_rows_give_the_same_files(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    query = f"SELECT * FROM `{IRIS}` ORDER BY RAND()"
    model = orders_model(label="species", query=query)
    first, second = (train_and_export(warehouse, model, tmp_path / name) for name in ("first", "second"))
    assert first == second


def test_only_the_newest_trainings_are_kept(
    warehouse: EmbeddedWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time, not by version number."""
    monkeypatch.setattr(embedded_warehouse, "MAX_TRAININGS", 2)
    for version in (4, 3, 2):
        model = orders_model(type="linear_reg", label="amount")
        warehouse.train(model=model, version=version, progress=RecordedProgress())
    assert {path.name for path in (tmp_path / "home/warehouse/orders").iterdir()} == {"v3", "v2"}


def test_damaged_record_counts_as_no_training(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    progress = RecordedProgress()
    first = warehouse.train(model=orders_model(), version=1, progress=progress)
    for damage in (b"", b"{", b'{"training": 1}', b"\xff"):
        (tmp_path / "home/warehouse/orders/v1/training.json").write_bytes(damage)
        with pytest.raises(PermanentError, match="no finished training"):
            warehouse.evaluate(model=orders_model(), version=1, progress=progress)
    assert warehouse.train(model=orders_model(), version=1, progress=progress).identity != first.identity


def test_unwritable_home_is_reported_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    warehouse = EmbeddedWarehouse(home=tmp_path / "home", tables={})
    model = orders_model(label="species", query=f"SELECT * FROM `{IRIS}`")
    with pytest.raises(PermanentError, match="home"):
        warehouse.train(model=model, version=1, progress=RecordedProgress())


def test_export_to_the_cloud_is_refused(warehouse: EmbeddedWarehouse) -> None:
    with pytest.raises(PermanentError, match="gs://bucket/x"):
        warehouse.export(model=orders_model(), version=1, to="gs://bucket/x", progress=RecordedProgress())


def test_concurrent_trainings_do_not_affect_each_other(warehouse: EmbeddedWarehouse) -> None:
    """Jobs run in threads of one process."""
    models = [
        orders_model(name=f"m{i}", label="species", query=f"SELECT * FROM `{IRIS}` LIMIT {130 + i}") for i in range(3)
    ]
    rows: dict[str, int] = {}

    def train(model: Model) -> None:
        rows[model.name] = warehouse.train(model=model, version=1, progress=RecordedProgress()).rows

    threads = [Thread(target=train, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert rows == {"m0": 130, "m1": 131, "m2": 132}


def test_importing_the_adapters_imports_no_library() -> None:
    """A worker loads scikit-learn, DuckDB and the like with its first training only."""
    program = (
        "import sys, workers.platforms.embedded.warehouse.warehouse, workers.platforms.embedded.artifacts;"
        "print([name for name in ('sklearn', 'duckdb', 'zetasql', 'wasmtime', 'pyarrow', 'skl2onnx', 'onnx',"
        " 'onnxruntime', 'pandas', 'numpy')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
