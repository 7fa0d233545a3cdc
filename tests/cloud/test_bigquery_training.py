"""Training in BigQuery: free checks, progress and cost, with the REST stand-in."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cloud.bigquery_harness import IRIS, model, serving, trained, warehouse
from tests.cloud.bigquery_stand_in import IRIS_SCHEMA, BigQueryStandIn, ScriptedFault
from tests.platforms.progress import RecordedProgress
from workers.errors import JobCancelled, PermanentError
from workers.platforms.cloud.bigquery.warehouse import UNEXPORTED_FOR


@pytest.fixture
def bigquery() -> Iterator[BigQueryStandIn]:
    with serving(BigQueryStandIn()) as stand_in:
        yield stand_in


def test_training_reports_rows_iterations_loss_and_price(bigquery: BigQueryStandIn) -> None:
    progress = RecordedProgress()
    training = warehouse(bigquery).train(model=model(), version=3, progress=progress)
    assert training.rows == 150
    assert training.note == "4 iterations, final loss 0.2 █▅▃▁, 4.9 kB read, under $0.01"
    assert training.identity == progress.identities["training"]
    assert re.fullmatch("seatrial-iris-v3-[0-9a-f]{8}-[0-9a-f]{8}", training.identity)


@pytest.mark.parametrize(
    ("type_", "cost"),
    [
        ("logistic_reg", "4.9 kB read, about $0.31"),
        ("boosted_tree_classifier", "4.9 kB read, under $0.01 plus Vertex AI's training"),
    ],
)
def test_price_uses_billed_bytes_except_for_trees(bigquery: BigQueryStandIn, type_: str, cost: str) -> None:
    """The billed bytes of trees include Vertex AI's share."""
    bigquery.billed_bytes = 2**40 // 1000
    training = warehouse(bigquery).train(model=model(type=type_), version=1, progress=RecordedProgress())
    assert training.note.endswith(f" {cost}")


def test_statement_has_a_byte_limit_and_labels(bigquery: BigQueryStandIn) -> None:
    progress = RecordedProgress()
    progress.job_id = "J-0001"
    warehouse(bigquery).train(model=model(name="iris-small"), version=3, progress=progress)
    (request,) = bigquery.submitted("CREATE")
    assert request["configuration"]["query"]["query"] == (
        "CREATE OR REPLACE MODEL `demo.sales.iris_small_v3`\n"
        f"OPTIONS(model_type = 'logistic_reg', input_label_cols = ['species'])\nAS\n{IRIS}"
    )
    assert request["configuration"]["query"]["maximumBytesBilled"] == str(100 * 10**9)
    labels = {"seatrial-job": "j-0001", "model": "iris-small", "version": "3", "rows": "150"}
    assert request["configuration"]["labels"] == labels
    assert request["jobReference"]["location"] == "EU"


def test_missing_dataset_is_created_in_the_location_once(bigquery: BigQueryStandIn) -> None:
    progress = RecordedProgress()
    for version in (1, 2):
        warehouse(bigquery).train(model=model(), version=version, progress=progress)
    assert bigquery.datasets["sales"]["location"] == "EU"
    assert [line for line in progress.lines if "Created dataset demo.sales in EU" in line] != []
    assert len([path for method, path, _ in bigquery.requests if (method, path[-9:]) == ("POST", "/datasets")]) == 1


def test_dataset_in_another_location_stops_the_training(bigquery: BigQueryStandIn) -> None:
    bigquery.datasets["sales"] = {"datasetReference": {"projectId": "demo", "datasetId": "sales"}, "location": "US"}
    with pytest.raises(PermanentError, match=r"demo\.sales is in US, but the settings say EU") as caught:
        trained(bigquery, model())
    assert "bigquery://demo/sales/US" in caught.value.advice
    assert bigquery.jobs == {}


def test_bytes_and_price_are_logged_before_the_first_paid_query(bigquery: BigQueryStandIn) -> None:
    bigquery.read_bytes = 2**40 // 1000
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set() if "to read" in fact else None
    with pytest.raises(JobCancelled):
        warehouse(bigquery).train(model=model(), version=1, progress=progress)
    assert "Dry run: 1.1 GB to read, about $0.31." in progress.lines
    assert progress.reports[-1][2] == "150 rows, 1.1 GB to read, about $0.31"
    assert bigquery.submitted("CREATE") == []


def test_check_is_free_and_reports_the_bytes_with_their_share_of_the_limit(bigquery: BigQueryStandIn) -> None:
    """Only dry runs, and no dataset is created. CREATE MODEL is tried if the dataset exists."""
    bigquery.read_bytes = 3 * 10**9
    checked = warehouse(bigquery).check(model=model(), live=None, progress=RecordedProgress())
    assert checked.cost == "3.0 GB to read, about $0.85, 3.0 % of max_bytes"
    assert dict(checked.features) == dict.fromkeys([name for name, _ in IRIS_SCHEMA], "number")
    assert (bigquery.jobs, bigquery.datasets) == ({}, {})
    warehouse(bigquery).train(model=model(), version=1, progress=RecordedProgress())
    trials = len(bigquery.requests)
    warehouse(bigquery).check(model=model(), live=None, progress=RecordedProgress())
    posted = [body["configuration"] for method, _, body in bigquery.requests[trials:] if method == "POST"]
    assert [one["dryRun"] for one in posted] == [True, True]
    assert "CREATE OR REPLACE MODEL `demo.sales.iris_v1`" in posted[1]["query"]["query"]


def test_check_names_the_features_of_an_export(bigquery: BigQueryStandIn) -> None:
    """Fields of a STRUCT are features of their own, and words are the export's form of dates."""
    bigquery.schema = [
        ("Species", "STRING"),
        ("day", "DATE"),
        ("n", "INTEGER"),
        ("new", "BOOLEAN"),
        ("at{lat,lon}", ""),
    ]
    features = {"day": "string", "n": "number", "new": "boolean", "at_lat": "number", "at_lon": "number"}
    assert dict(warehouse(bigquery).check(model=model(), live=None, progress=RecordedProgress()).features) == features
    trees = warehouse(bigquery).check(
        model=model(type="boosted_tree_classifier"), live=None, progress=RecordedProgress()
    )
    assert dict(trees.features) == features | {"new": "any"}


def test_query_above_max_bytes_is_refused(bigquery: BigQueryStandIn) -> None:
    bigquery.read_bytes = 3 * 10**9
    with pytest.raises(PermanentError, match=r"models\.iris\.max_bytes: .*3\.0 GB.*2\.0 GB") as caught:
        trained(bigquery, model(max_bytes="2GB"))
    assert "max_bytes" in caught.value.advice
    assert bigquery.jobs == {}


@pytest.mark.parametrize(
    ("changes", "answers", "message"),
    [
        ({"query": IRIS + " ;\n"}, {}, "query: it ends with a semicolon"),
        ({}, {"statement_type": "SCRIPT"}, "query: it must be a single SELECT statement, found several statements"),
        ({}, {"statement_type": "DROP_TABLE"}, "query: it must be a single SELECT statement, found DROP_TABLE"),
        ({"label": "specie"}, {}, 'label: the query returns no column "specie", but sepal_length'),
        ({"type": "linear_reg"}, {}, 'label: "species" is STRING'),
        ({}, {"schema": [("species", "STRING")]}, "query: its only column is the label"),
        (
            {},
            {"schema": [("species", "STRING"), ("seen", "TIMESTAMP")]},
            'query: "seen" is TIMESTAMP, and BigQuery cannot export',
        ),
        (
            {},
            {"schema": [("species", "STRING"), ("tags", "STRING[]")]},
            'query: "tags" is ARRAY, and BigQuery cannot export',
        ),
        ({}, {"labelled": 1}, "query: it returns 1 row with a label"),
    ],
)
def test_mistake_names_its_field_before_the_training(
    bigquery: BigQueryStandIn, changes: dict[str, Any], answers: dict[str, Any], message: str
) -> None:
    for name, value in answers.items():
        setattr(bigquery, name, value)
    with pytest.raises(PermanentError) as caught:
        trained(bigquery, model(**changes))
    assert str(caught.value).startswith(f"models.iris.{message}")
    assert caught.value.advice
    assert bigquery.submitted("CREATE") == []


def test_progress_counts_iterations_with_a_chart_of_the_losses(bigquery: BigQueryStandIn) -> None:
    bigquery.losses = [1 / (number + 1) for number in range(12)]
    progress = RecordedProgress()
    warehouse(bigquery).train(model=model(), version=1, progress=progress)
    counted = [(done, total) for done, total, _ in progress.reports if total is not None]
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)
    assert all(done <= total for done, total in counted)
    assert counted[-1] == (12, 12)
    assert any(re.fullmatch(r"iteration \d+, loss 0\.\d+ █[▁▂▃▄▅▆▇█]*▁", fact) for _, _, fact in progress.reports)


def test_unexported_model_expires_within_a_week(bigquery: BigQueryStandIn) -> None:
    bigquery.datasets["sales"] = {"datasetReference": {"projectId": "demo", "datasetId": "sales"}, "location": "EU"}
    trained(bigquery, model())
    expires_s = int(bigquery.models["iris_v3"]["expirationTime"]) / 1000
    assert expires_s == pytest.approx(time.time() + UNEXPORTED_FOR.total_seconds(), abs=60)
    warehouse(bigquery).export(model=model(), version=3, to="gs://models/iris/3", progress=RecordedProgress())
    assert "expirationTime" not in bigquery.models["iris_v3"]


def test_failed_expiration_is_logged_only(bigquery: BigQueryStandIn) -> None:
    bigquery.faults = [ScriptedFault("PATCH", status=403, reason="accessDenied", message="Access Denied.")]
    progress = RecordedProgress()
    assert warehouse(bigquery).train(model=model(), version=3, progress=progress).rows == 150
    assert any("expiration of demo.sales.iris_v3 could not be set" in line for line in progress.lines)


def test_rows_without_a_label_are_logged(bigquery: BigQueryStandIn) -> None:
    bigquery.unlabelled = 7
    progress = RecordedProgress()
    assert warehouse(bigquery).train(model=model(), version=1, progress=progress).rows == 150
    assert "Left out 7 rows without a label." in progress.lines
