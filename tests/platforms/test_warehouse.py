"""What every Warehouse does, whichever it is. An adapter joins the suite with a line in `WAREHOUSES`."""
# ruff: noqa: S608  queries are what these tests are about, and are made of parts.

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.recorded_progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import Cancelled, PermanentError
from workers.platforms.embedded.warehouse import EmbeddedWarehouse
from workers.platforms.protocols import Warehouse

IRIS = "`bigquery-public-data.ml_datasets.iris`"
CLASSIFIER_METRICS = {"precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"}
REGRESSOR_METRICS = {
    "mean_absolute_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "r2_score",
    "explained_variance",
}

WAREHOUSES: dict[str, Callable[[Path], Warehouse]] = {
    "embedded": lambda folder: EmbeddedWarehouse(home=folder, tables={}),
}


@pytest.fixture(params=WAREHOUSES)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    return WAREHOUSES[request.param](tmp_path / "home")


def iris(**changes: Any) -> Model:
    """The settings' own example, changed."""
    return Model(
        **{
            "name": "iris",
            "type": "logistic_reg",
            "label": "species",
            "query": f"SELECT * FROM {IRIS}",
            "sample": ({"sepal_length": 5.0},),
            **changes,
        }
    )


def regressor(type_: str) -> Model:
    return iris(type=type_, label="petal_width", query=f"SELECT * EXCEPT(species) FROM {IRIS}")


@pytest.mark.parametrize("type_", ["logistic_reg", "boosted_tree_classifier"])
def test_a_classifier_is_evaluated_by_the_metrics_of_ml_evaluate(warehouse: Warehouse, type_: str) -> None:
    """A trained classifier of irises has ML.EVALUATE's six metrics, and knows the species."""
    model = iris(type=type_)
    warehouse.train(model=model, version=1, progress=RecordedProgress())
    metrics = warehouse.evaluate(model=model, version=1, progress=RecordedProgress()).metrics
    assert set(metrics) == CLASSIFIER_METRICS
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["accuracy"] > 0.9
    assert metrics["roc_auc"] > 0.95


@pytest.mark.parametrize("type_", ["linear_reg", "boosted_tree_regressor"])
def test_a_regressor_is_evaluated_by_the_metrics_of_ml_evaluate(warehouse: Warehouse, type_: str) -> None:
    """A trained regressor of petal widths has ML.EVALUATE's six metrics, and explains most of the variance."""
    model = regressor(type_)
    warehouse.train(model=model, version=1, progress=RecordedProgress())
    metrics = warehouse.evaluate(model=model, version=1, progress=RecordedProgress()).metrics
    assert set(metrics) == REGRESSOR_METRICS
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["r2_score"] > 0.8


def test_a_training_says_what_it_read_and_what_it_was_evaluated_on(warehouse: Warehouse) -> None:
    """Irises are 150 rows, too few to hold any out, and the evaluation says so."""
    progress = RecordedProgress()
    training = warehouse.train(model=iris(), version=1, progress=progress)
    assert training.rows == 150
    assert training.note
    assert training.identity == progress.identities["training"]
    assert "training rows" in warehouse.evaluate(model=iris(), version=1, progress=progress).note


@pytest.mark.parametrize("type_", ["linear_reg", "logistic_reg", "boosted_tree_classifier", "boosted_tree_regressor"])
def test_progress_is_counted_up_to_its_total(warehouse: Warehouse, type_: str) -> None:
    """What is reported never goes back, stays below its total, reaches it, and carries facts."""
    progress = RecordedProgress()
    model = regressor(type_) if type_ in ("linear_reg", "boosted_tree_regressor") else iris(type=type_)
    warehouse.train(model=model, version=1, progress=progress)
    counted = [(done, total) for done, total, _ in progress.reports if total is not None]
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)
    assert all(done <= total for done, total in counted)
    assert counted[-1][0] == counted[-1][1]
    assert all(fact for _, _, fact in progress.reports)


def test_export_replaces_whatever_lay_at_the_address(warehouse: Warehouse, tmp_path: Path) -> None:
    """An export leaves the version's files and no others, also when repeated."""
    warehouse.train(model=iris(), version=1, progress=RecordedProgress())
    target = tmp_path / "staging"
    target.mkdir()
    (target / "left-over").write_text("of an attempt that died")
    for _ in range(2):
        written = warehouse.export(model=iris(), version=1, to=str(target), progress=RecordedProgress())
        assert written in ("onnx", "saved_model", "xgboost_booster")
        names = {path.name for path in target.iterdir()}
        assert names and "left-over" not in names


def test_a_job_tried_again_does_not_repeat_a_finished_training(warehouse: Warehouse) -> None:
    """The next attempt of a job finds the training by its identity; another job trains anew."""
    first = RecordedProgress()
    training = warehouse.train(model=iris(), version=1, progress=first)
    again = RecordedProgress(identities=first.identities)
    assert warehouse.train(model=iris(), version=1, progress=again) == training
    assert not any(total for _, total, _ in again.reports)
    other = warehouse.train(model=iris(), version=1, progress=RecordedProgress())
    assert other.identity != training.identity


def test_a_finished_training_of_other_settings_is_repeated(warehouse: Warehouse) -> None:
    """Where the query was changed between two attempts, what is published is what the settings say now."""
    first = RecordedProgress()
    warehouse.train(model=iris(), version=1, progress=first)
    changed = iris(query=f"SELECT * FROM {IRIS} WHERE species != 'setosa'")
    assert warehouse.train(model=changed, version=1, progress=first).rows == 100


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"label": "specie"}, "label", ['no column "specie"', "sepal_length", "species"]),
        ({"label": "petal_width"}, "label", ["petal_width", "FLOAT64"]),
        ({"type": "linear_reg"}, "label", ["species", "STRING"]),
        ({"query": "SELECT * FROM"}, "query", ["parse"]),
        ({"query": "SELEC * FROM x"}, "query", ["SELEC"]),
        ({"query": " -- nothing"}, "query", ["nothing"]),
        ({"query": "SELECT 'open"}, "query", ["quote"]),
        ({"query": "SELECT * FROM shop.orders"}, "query", ['"shop.orders"']),
        ({"query": f"SELECT nope FROM {IRIS}"}, "query", ["nope"]),
        ({"query": f"SELECT species FROM {IRIS}"}, "query", ["nothing to learn from"]),
        ({"query": f"SELECT * FROM {IRIS} WHERE FALSE"}, "query", ["0 rows"]),
        ({"query": f"SELECT * FROM {IRIS} LIMIT 1"}, "query", ["1 rows"]),
        ({"query": f"SELECT * FROM {IRIS} WHERE species = 'setosa'"}, "label", ['"setosa"']),
        ({"query": f"SELECT *, DATE '2026-01-01' AS day FROM {IRIS}"}, "query", ['"day"', "DATE"]),
        ({"query": f"SELECT *, [1, 2] AS parts FROM {IRIS}"}, "query", ['"parts"', "ARRAY<INT64>"]),
        ({"query": f"SELECT *, STRUCT(1 AS one) AS both FROM {IRIS}"}, "query", ['"both"', "STRUCT<one INT64>"]),
        ({"query": f"SELECT *, Sepal_Width FROM {IRIS}"}, "query", ['"sepal_width"', "more than one"]),
        ({"query": f"SELECT * FROM {IRIS}; SELECT 1"}, "query", ["one query", "2"]),
    ],
)
def test_a_mistake_in_the_settings_is_named_with_its_field(
    warehouse: Warehouse, changes: dict[str, Any], field: str, words: list[str]
) -> None:
    """A training that can never succeed says which setting is at fault, what was found, and what can be done."""
    with pytest.raises(PermanentError) as caught:
        warehouse.train(model=iris(**changes), version=1, progress=RecordedProgress())
    message = str(caught.value)
    assert message.startswith(f"models.iris.{field}: ")
    assert [word for word in words if word not in message] == []
    assert message.endswith(".")
    assert caught.value.advice


def test_a_version_that_was_never_trained_is_neither_evaluated_nor_exported(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Both name the version, and nothing is written."""
    with pytest.raises(PermanentError, match="iris v7"):
        warehouse.evaluate(model=iris(), version=7, progress=RecordedProgress())
    with pytest.raises(PermanentError, match="iris v7"):
        warehouse.export(model=iris(), version=7, to=str(tmp_path / "to"), progress=RecordedProgress())
    assert not (tmp_path / "to").exists()


def test_a_training_cancelled_between_its_stages_leaves_no_version(warehouse: Warehouse) -> None:
    """After a cancel at the first counted report there is nothing to evaluate."""
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set() if "iteration" in fact else None
    model = iris(type="boosted_tree_classifier")
    with pytest.raises(Cancelled):
        warehouse.train(model=model, version=1, progress=progress)
    with pytest.raises(PermanentError):
        warehouse.evaluate(model=model, version=1, progress=RecordedProgress())
