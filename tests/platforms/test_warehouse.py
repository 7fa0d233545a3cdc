"""Contract suite of Warehouse. An adapter joins with a line in `WAREHOUSES`."""
# ruff: noqa: S608  the tests assemble queries

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.platforms.adapters import WarehouseUnderTest, bigquery_warehouse, embedded_warehouse
from tests.platforms.progress import RecordedProgress
from workers.contract.gate import read_bound
from workers.contract.settings import Model
from workers.errors import JobCancelled, PermanentError
from workers.platforms.protocols import LiveVersion, Training, Warehouse

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

WAREHOUSES = {"embedded": embedded_warehouse, "bigquery": bigquery_warehouse}
MODEL_FILES = {"onnx": "model.onnx", "saved_model": "saved_model.pb", "xgboost_booster": "model.bst"}
"""The file that holds the model, by format."""


def iris(**changes: Any) -> Model:
    """Return the model of the example settings, changed."""
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


MODELS = {
    "logistic_reg": iris(),
    "boosted_tree_classifier": iris(type="boosted_tree_classifier"),
    **{
        type_: iris(type=type_, label="petal_width", query=f"SELECT * EXCEPT(species) FROM {IRIS}")
        for type_ in ("linear_reg", "boosted_tree_regressor")
    },
}


class TrainedModel(NamedTuple):
    """A training of version 1, and the progress it reported."""

    under_test: WarehouseUnderTest
    model: Model
    training: Training
    progress: RecordedProgress


@pytest.fixture(scope="module", params=[(name, type_) for name in WAREHOUSES for type_ in MODELS], ids="-".join)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainedModel]:
    """Every type of model, trained once per warehouse."""
    name, type_ = request.param
    with WAREHOUSES[name](tmp_path_factory.mktemp(name)) as under_test:
        progress = RecordedProgress()
        training = under_test.warehouse.train(model=MODELS[type_], version=1, progress=progress)
        yield TrainedModel(under_test, MODELS[type_], training, progress)


@pytest.fixture(params=WAREHOUSES)
def under_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WarehouseUnderTest]:
    with WAREHOUSES[request.param](tmp_path) as under_test:
        yield under_test


@pytest.fixture
def warehouse(under_test: WarehouseUnderTest) -> Warehouse:
    return under_test.warehouse


def test_model_is_evaluated_with_the_metrics_of_ml_evaluate(trained: TrainedModel) -> None:
    """150 irises are too few to hold out any rows, and the note says so."""
    evaluation = trained.under_test.warehouse.evaluate(model=trained.model, version=1, progress=RecordedProgress())
    metrics = evaluation.metrics
    assert all(math.isfinite(value) for value in metrics.values())
    assert "training rows" in evaluation.note
    if trained.model.label == "species":
        assert set(metrics) == CLASSIFIER_METRICS
        assert metrics["accuracy"] > 0.9
        assert metrics["roc_auc"] > 0.95
    else:
        assert set(metrics) == REGRESSOR_METRICS
        assert metrics["r2_score"] > 0.8


def test_training_reports_its_rows_and_identity(trained: TrainedModel) -> None:
    assert trained.training.rows == 150
    assert trained.training.note
    assert trained.training.identity == trained.progress.identities["training"]


def test_progress_rises_to_its_total(trained: TrainedModel) -> None:
    reports = trained.progress.reports
    counted = [(done, total) for done, total, _ in reports if total is not None]
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)
    assert all(done <= total for done, total in counted)
    assert counted[-1][0] == counted[-1][1]
    assert all(fact for _, _, fact in reports)


def test_export_writes_the_files_of_its_format(trained: TrainedModel) -> None:
    """A second export leaves no other files."""
    under_test = trained.under_test

    def export() -> str:
        return under_test.warehouse.export(
            model=trained.model, version=1, to=under_test.staging, progress=RecordedProgress()
        )

    written = export()
    files = under_test.files()
    assert MODEL_FILES[written] in files
    assert export() == written
    assert under_test.files() == files


def test_version_that_is_compared_with_itself_is_equal(under_test: WarehouseUnderTest) -> None:
    warehouse, model = under_test.warehouse, iris(gate={"accuracy": read_bound(">= live")})
    warehouse.train(model=model, version=1, progress=RecordedProgress())
    warehouse.export(model=model, version=1, to=under_test.staging, progress=RecordedProgress())
    live = LiveVersion(version=1, environment="staging", folder=Path(under_test.staging))
    assert warehouse.check(model=model, live=live, progress=RecordedProgress()).features
    comparison = warehouse.compare(model=model, version=1, live=live, progress=RecordedProgress())
    assert comparison.new == comparison.live and set(comparison.new) == CLASSIFIER_METRICS
    assert "training rows" in comparison.note


def test_next_attempt_of_a_job_returns_its_finished_training(warehouse: Warehouse) -> None:
    """Another job trains again."""
    first = RecordedProgress()
    training = warehouse.train(model=iris(), version=1, progress=first)
    again = RecordedProgress(identities=first.identities)
    assert warehouse.train(model=iris(), version=1, progress=again) == training
    assert all(done == total for done, total, _ in again.reports if total)
    other = warehouse.train(model=iris(), version=1, progress=RecordedProgress())
    assert other.identity != training.identity


def test_next_attempt_with_other_settings_trains_again(warehouse: Warehouse) -> None:
    progress = RecordedProgress()
    warehouse.train(model=iris(), version=1, progress=progress)
    changed = iris(query=f"SELECT * FROM {IRIS} WHERE species != 'setosa'")
    assert warehouse.train(model=changed, version=1, progress=progress).rows == 100


def test_check_returns_the_features_with_their_types(warehouse: Warehouse) -> None:
    query = f"SELECT sepal_length, species AS kind, sepal_width > 3 AS wide, sepal_width AS y FROM {IRIS}"
    checked = warehouse.check(
        model=iris(type="linear_reg", label="y", query=query), live=None, progress=RecordedProgress()
    )
    assert dict(checked.features) == {"sepal_length": "number", "kind": "string", "wide": "boolean"}
    assert list(checked.features) == ["sepal_length", "kind", "wide"]
    assert checked.cost


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": "specie"}, "label"),
        ({"type": "linear_reg"}, "label"),
        ({"query": "SELECT * FROM `bigquery-public-data.ml_datasets.tulip`"}, "query"),
        ({"query": f"SELECT nope FROM {IRIS}"}, "query"),
    ],
)
def test_check_refuses_as_a_training_does(warehouse: Warehouse, changes: dict[str, Any], field: str) -> None:
    model, reasons = iris(**changes), []
    for attempt in (
        lambda: warehouse.check(model=model, live=None, progress=RecordedProgress()),
        lambda: warehouse.train(model=model, version=1, progress=RecordedProgress()),
    ):
        with pytest.raises(PermanentError) as caught:
            attempt()
        reasons.append((str(caught.value), caught.value.advice))
    assert reasons[0] == reasons[1]
    assert reasons[0][0].startswith(f"models.iris.{field}: ")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"label": "specie"}, "label", ['no column "specie"', "sepal_length", "species"]),
        ({"type": "linear_reg"}, "label", ["species", "STRING"]),
        ({"query": "SELECT * FROM"}, "query", []),
        ({"query": "SELECT * FROM `bigquery-public-data.ml_datasets.tulip`"}, "query", ["ml_datasets.tulip"]),
        ({"query": f"SELECT nope FROM {IRIS}"}, "query", ["nope"]),
        ({"query": f"SELECT species FROM {IRIS}"}, "query", ["its only column"]),
        ({"query": f"SELECT * FROM {IRIS} WHERE FALSE"}, "query", ["0 rows"]),
        ({"query": f"SELECT * FROM {IRIS} LIMIT 1"}, "query", ["1 row with"]),
        ({"query": f"SELECT * FROM {IRIS}; SELECT 1"}, "query", []),
    ],
)
def test_impossible_training_is_refused_with_the_field_of_the_settings(
    warehouse: Warehouse, changes: dict[str, Any], field: str, words: list[str]
) -> None:
    with pytest.raises(PermanentError) as caught:
        warehouse.train(model=iris(**changes), version=1, progress=RecordedProgress())
    message = str(caught.value)
    assert message.startswith(f"models.iris.{field}: ")
    assert [word for word in words if word not in message] == []
    assert message.endswith(".")
    assert caught.value.advice


def test_untrained_version_is_neither_evaluated_nor_exported(under_test: WarehouseUnderTest) -> None:
    warehouse = under_test.warehouse
    with pytest.raises(PermanentError, match="iris v7"):
        warehouse.evaluate(model=iris(), version=7, progress=RecordedProgress())
    with pytest.raises(PermanentError, match="iris v7"):
        warehouse.export(model=iris(), version=7, to=under_test.staging, progress=RecordedProgress())
    assert under_test.files() == set()


def test_cancelled_training_leaves_no_version(warehouse: Warehouse) -> None:
    """Cancelled at the first report of an iteration."""
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set() if "iteration" in fact else None
    model = iris(type="boosted_tree_classifier")
    with pytest.raises(JobCancelled):
        warehouse.train(model=model, version=1, progress=progress)
    with pytest.raises(PermanentError):
        warehouse.evaluate(model=model, version=1, progress=RecordedProgress())
