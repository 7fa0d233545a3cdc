"""Comparison with the live version on this machine: its files are run on the new version's evaluation rows."""
# ruff: noqa: S608  the tests assemble queries

import json
from pathlib import Path

import pytest

from tests.platforms.onnx_models import classifier
from tests.platforms.orders import orders_model, orders_warehouse
from tests.platforms.progress import RecordedProgress
from workers.contract.gate import read_bound
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse.sql import IRIS
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse
from workers.platforms.protocols import LiveVersion

QUERY = f"SELECT *, sepal_width > 3 AS wide, IF(petal_width > 1, 'big', 'small') AS size FROM `{IRIS}`"


def iris(**changes: str) -> Model:
    settings = {"label": "species", "query": QUERY, **changes}
    metric = "r2_score" if settings["label"] == "petal_length" else "accuracy"
    return orders_model(gate={metric: read_bound(">= live")}, **settings)


@pytest.fixture
def warehouse(tmp_path: Path) -> EmbeddedWarehouse:
    return orders_warehouse(tmp_path)


def trained(warehouse: EmbeddedWarehouse, model: Model, version: int, folder: Path) -> LiveVersion:
    """Train and export a version to `folder`."""
    warehouse.train(model=model, version=version, progress=RecordedProgress())
    warehouse.export(model=model, version=version, to=str(folder), progress=RecordedProgress())
    return LiveVersion(version=version, environment="staging", folder=folder)


@pytest.mark.parametrize(
    ("type_", "label"),
    [
        ("logistic_reg", "species"),
        ("boosted_tree_classifier", "species"),
        ("linear_reg", "petal_length"),
        ("boosted_tree_regressor", "petal_length"),
    ],
)
def test_equal_versions_have_equal_metrics(
    warehouse: EmbeddedWarehouse, tmp_path: Path, type_: str, label: str
) -> None:
    """Otherwise the bound ">= live" could refuse the same model again."""
    model = iris(type=type_, label=label)
    live = trained(warehouse, model, 1, tmp_path / "live")
    trained(warehouse, model, 2, tmp_path / "new")
    comparison = warehouse.compare(model=model, version=2, live=live, progress=RecordedProgress())
    assert comparison.new == comparison.live
    evaluated = warehouse.evaluate(model=model, version=2, progress=RecordedProgress())
    assert dict(comparison.new) == pytest.approx(dict(evaluated.metrics), abs=1e-6)
    assert comparison.note == evaluated.note


def test_live_version_may_be_of_another_type_and_know_fewer_columns(
    warehouse: EmbeddedWarehouse, tmp_path: Path
) -> None:
    narrow = iris(query=f"SELECT sepal_width, species FROM `{IRIS}`")
    live = trained(warehouse, narrow, 1, tmp_path / "live")
    model = iris(type="boosted_tree_classifier")
    assert warehouse.check(model=model, live=live, progress=RecordedProgress())
    trained(warehouse, model, 2, tmp_path / "new")
    comparison = warehouse.compare(model=model, version=2, live=live, progress=RecordedProgress())
    assert comparison.live["accuracy"] < 0.8 < comparison.new["accuracy"]


def test_rows_are_those_that_were_held_out_from_the_new_version(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """They are stored with the training, and are no part of the exported files."""
    model = iris(query=f"SELECT species, petal_width + n / 100 AS w FROM `{IRIS}`, UNNEST(GENERATE_ARRAY(1, 4)) AS n")
    live = trained(warehouse, model, 1, tmp_path / "live")
    assert {path.name for path in live.folder.iterdir()} == {"model.onnx", "signature.json"}
    stored = json.loads((tmp_path / "home/warehouse/orders/v1/evaluation_rows.json").read_bytes())
    assert len(stored["labels"]) == len(stored["columns"]["w"]) == 120
    comparison = warehouse.compare(model=model, version=1, live=live, progress=RecordedProgress())
    assert comparison.note == "on 120 rows held out"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"query": f"SELECT * EXCEPT(petal_width) FROM `{IRIS}`"},
            "it needs petal_width, a number, and the query has no",
        ),
        (
            {"query": QUERY.replace("*,", "* REPLACE(CAST(sepal_length AS STRING) AS sepal_length),")},
            "it needs sepal_length, a number, and the query has it as a string",
        ),
        ({"label": "size"}, "it predicts species"),
    ],
)
def test_live_version_that_does_not_fit_the_query_is_found_by_the_check(
    warehouse: EmbeddedWarehouse, tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    live = trained(warehouse, iris(), 1, tmp_path / "live")
    with pytest.raises(PermanentError, match=f"orders.gate: v1 on staging cannot be compared: {reason}") as caught:
        warehouse.check(model=iris(**changes), live=live, progress=RecordedProgress())
    assert "deploy that version to staging" in caught.value.advice


def test_other_classes_cannot_be_compared(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    live = trained(warehouse, iris(), 1, tmp_path / "live")
    two = iris(query=f"{QUERY} WHERE species != 'setosa'")
    trained(warehouse, two, 2, tmp_path / "new")
    with pytest.raises(
        PermanentError, match="its classes are setosa, versicolor, virginica, and the new ones versicolor"
    ):
        warehouse.compare(model=two, version=2, live=live, progress=RecordedProgress())


def test_version_without_stored_rows_is_not_compared(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    """Rows are stored only if the gate refers to the live version."""
    without = orders_model(label="species", query=QUERY)
    live = trained(warehouse, without, 1, tmp_path / "live")
    assert not (tmp_path / "home/warehouse/orders/v1/evaluation_rows.json").exists()
    with pytest.raises(PermanentError, match="rows of orders are not stored"):
        warehouse.compare(model=iris(), version=1, live=live, progress=RecordedProgress())


def test_unusable_live_version_is_reported(warehouse: EmbeddedWarehouse, tmp_path: Path) -> None:
    broken = classifier(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"")
    live = LiveVersion(version=1, environment="staging", folder=broken)
    with pytest.raises(PermanentError, match=r"orders\.gate: v1 cannot be loaded"):
        warehouse.check(model=iris(), live=live, progress=RecordedProgress())
