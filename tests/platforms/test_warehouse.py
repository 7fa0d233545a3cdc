"""What every Warehouse does, whichever it is. An adapter joins the suite with a line in `BAYS`."""
# ruff: noqa: S608  queries are what these tests are about, and are made of parts.

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.adapters import WarehouseUnderTest, bigquery_bay, embedded_warehouse_bay
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import JobCancelled, PermanentError
from workers.platforms.protocols.warehouse import Warehouse

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

BAYS = {"embedded": embedded_warehouse_bay, "bigquery": bigquery_bay}
MODEL_FILES = {"onnx": "model.onnx", "saved_model": "saved_model.pb", "xgboost_booster": "model.bst"}
"""By format, the file that holds the model."""


@pytest.fixture(params=BAYS)
def cluster_under_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WarehouseUnderTest]:
    with BAYS[request.param](tmp_path) as cluster_under_test:
        yield cluster_under_test


@pytest.fixture
def warehouse(cluster_under_test: WarehouseUnderTest) -> Warehouse:
    return cluster_under_test.warehouse


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


@pytest.mark.parametrize("type_", ["logistic_reg", "boosted_tree_classifier"])
def test_an_export_leaves_the_files_of_its_format_at_the_address(
    cluster_under_test: WarehouseUnderTest, type_: str
) -> None:
    """The format that is returned is the one that lies there, and a second export leaves no other files."""
    model = iris(type=type_)
    cluster_under_test.warehouse.train(model=model, version=1, progress=RecordedProgress())
    written = cluster_under_test.warehouse.export(
        model=model, version=1, to=cluster_under_test.staging, progress=RecordedProgress()
    )
    files = cluster_under_test.files()
    assert MODEL_FILES[written] in files
    assert (
        cluster_under_test.warehouse.export(
            model=model, version=1, to=cluster_under_test.staging, progress=RecordedProgress()
        )
        == written
    )
    assert cluster_under_test.files() == files


def test_a_job_tried_again_does_not_repeat_a_finished_training(warehouse: Warehouse) -> None:
    """The next attempt of a job finds the training by its identity; another job trains anew."""
    first = RecordedProgress()
    training = warehouse.train(model=iris(), version=1, progress=first)
    again = RecordedProgress(identities=first.identities)
    assert warehouse.train(model=iris(), version=1, progress=again) == training
    assert all(done == total for done, total, _ in again.reports if total)
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
        ({"type": "linear_reg"}, "label", ["species", "STRING"]),
        ({"query": "SELECT * FROM"}, "query", []),
        ({"query": "SELECT * FROM `bigquery-public-data.ml_datasets.tulip`"}, "query", ["ml_datasets.tulip"]),
        ({"query": f"SELECT nope FROM {IRIS}"}, "query", ["nope"]),
        ({"query": f"SELECT species FROM {IRIS}"}, "query", ["nothing to learn from"]),
        ({"query": f"SELECT * FROM {IRIS} WHERE FALSE"}, "query", ["0 rows"]),
        ({"query": f"SELECT * FROM {IRIS} LIMIT 1"}, "query", ["1 row with"]),
        ({"query": f"SELECT * FROM {IRIS}; SELECT 1"}, "query", ["one query"]),
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
    cluster_under_test: WarehouseUnderTest,
) -> None:
    """Both name the version, and nothing is written."""
    with pytest.raises(PermanentError, match="iris v7"):
        cluster_under_test.warehouse.evaluate(model=iris(), version=7, progress=RecordedProgress())
    with pytest.raises(PermanentError, match="iris v7"):
        cluster_under_test.warehouse.export(
            model=iris(), version=7, to=cluster_under_test.staging, progress=RecordedProgress()
        )
    assert cluster_under_test.files() == set()


def test_a_training_cancelled_between_its_stages_leaves_no_version(warehouse: Warehouse) -> None:
    """After a cancel at the first counted report there is nothing to evaluate."""
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set() if "iteration" in fact else None
    model = iris(type="boosted_tree_classifier")
    with pytest.raises(JobCancelled):
        warehouse.train(model=model, version=1, progress=progress)
    with pytest.raises(PermanentError):
        warehouse.evaluate(model=model, version=1, progress=RecordedProgress())
