"""Evaluation and export of BigQuery models, with the REST stand-in."""

from collections.abc import Iterator

import pytest

from tests.cloud.bigquery_harness import model, serving, trained, warehouse
from tests.cloud.bigquery_stand_in import CLASSIFIER_METRICS, BigQueryStandIn
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import SettingsError
from workers.errors import PermanentError, ShuttingDown


@pytest.fixture
def bigquery() -> Iterator[BigQueryStandIn]:
    with serving(BigQueryStandIn()) as stand_in:
        yield stand_in


def test_evaluation_of_a_classifier_logs_its_confusion_matrix(bigquery: BigQueryStandIn) -> None:
    trained(bigquery, model())
    progress = RecordedProgress()
    evaluation = warehouse(bigquery).evaluate(model=model(), version=3, progress=progress)
    assert tuple(evaluation.metrics) == CLASSIFIER_METRICS
    assert evaluation.metrics["accuracy"] == 0.96
    assert evaluation.means == {"sepal_width": 3.0573}  # strings have none
    assert "training rows" in evaluation.note
    assert progress.lines == [
        "expected setosa: 50 setosa",
        "expected versicolor: 48 versicolor, 2 virginica",
        "expected virginica: 46 virginica, 4 versicolor",
    ]


def test_evaluation_on_held_out_rows_says_so(bigquery: BigQueryStandIn) -> None:
    bigquery.held_out = True
    trained(bigquery, model())
    note = warehouse(bigquery).evaluate(model=model(), version=3, progress=RecordedProgress()).note
    assert note == "on the rows that AUTO_SPLIT held out"


def test_evaluation_of_a_tree_logs_its_feature_importance(bigquery: BigQueryStandIn) -> None:
    """The most useful feature comes first. A regressor has no matrix."""
    bigquery.schema = [*bigquery.schema, ("price", "NUMERIC")]
    tree = model(type="boosted_tree_regressor", label="price")
    bigquery.tables["EVALUATE"] = ([("r2_score", "FLOAT"), ("mean_squared_log_error", "FLOAT")], [[0.9, "NaN"]])
    trained(bigquery, tree)
    progress = RecordedProgress()
    evaluation = warehouse(bigquery).evaluate(model=tree, version=3, progress=progress)
    assert evaluation.metrics == {"r2_score": 0.9}
    assert evaluation.note.endswith("; mean_squared_log_error undefined on them")
    assert progress.lines == ["petal_length: gain 12.25, 45 splits", "sepal_width: gain 0.5, 3 splits"]


@pytest.mark.parametrize(
    ("type_", "wire", "name"),
    [
        ("logistic_reg", "ML_TF_SAVED_MODEL", "saved_model"),
        ("boosted_tree_classifier", "ML_XGBOOST_BOOSTER", "xgboost_booster"),
    ],
)
def test_export_uses_the_format_of_the_model_type(bigquery: BigQueryStandIn, type_: str, wire: str, name: str) -> None:
    extracted: list[tuple[str, str]] = []
    bigquery.on_extract = lambda model, uri: extracted.append((model, uri))
    wanted = model(type=type_)
    trained(bigquery, wanted)
    to = "gs://models/seatrial/iris/3/files/"
    assert warehouse(bigquery).export(model=wanted, version=3, to=to, progress=RecordedProgress()) == name
    assert extracted == [("iris_v3", to.rstrip("/"))]
    (request,) = bigquery.submitted("extract")
    assert request["configuration"]["extract"]["destinationFormat"] == wire
    assert request["jobReference"]["jobId"].startswith("seatrial-iris-v3-export-")


def test_running_extract_is_cancelled_before_the_next(bigquery: BigQueryStandIn) -> None:
    trained(bigquery, model())
    bigquery.endless = True
    progress = RecordedProgress()
    waits = iter(range(100))

    def requeue(seconds: float) -> None:
        if next(waits) == 2:
            raise ShuttingDown("The worker is shutting down.")

    progress.wait = requeue  # type: ignore[method-assign]
    with pytest.raises(ShuttingDown):
        warehouse(bigquery).export(model=model(), version=3, to="gs://models/a", progress=progress)
    left = progress.identities["export"]
    bigquery.endless = False
    again = RecordedProgress(identities=progress.identities)
    warehouse(bigquery).export(model=model(), version=3, to="gs://models/a", progress=again)
    assert bigquery.jobs[left]["status"]["errorResult"]["reason"] == "stopped"
    assert again.identities["export"] != left


def test_untrained_version_is_neither_evaluated_nor_exported(bigquery: BigQueryStandIn) -> None:
    with pytest.raises(PermanentError, match="iris v7"):
        warehouse(bigquery).evaluate(model=model(), version=7, progress=RecordedProgress())
    with pytest.raises(PermanentError, match="iris v7"):
        warehouse(bigquery).export(model=model(), version=7, to="gs://models/a", progress=RecordedProgress())
    assert bigquery.jobs == {}


def test_export_outside_the_bucket_is_refused(bigquery: BigQueryStandIn) -> None:
    with pytest.raises(PermanentError, match="gs://models/"):
        warehouse(bigquery).export(model=model(), version=1, to="gs://other/a", progress=RecordedProgress())


@pytest.mark.parametrize(
    "changes", [{"project": "a`; DROP"}, {"dataset": "my-sales"}, {"location": ""}, {"dataset": "a.b"}]
)
def test_invalid_bigquery_name_is_a_settings_error(bigquery: BigQueryStandIn, changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        warehouse(bigquery, **changes)
    assert repr(next(iter(changes.values()))) in str(caught.value)
