"""Comparison with the live version in BigQuery, with the REST stand-in: the rows, their cost, and missing columns."""
# ruff: noqa: S608  the tests assemble queries

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.bigquery_harness import IRIS, model, serving, warehouse
from tests.cloud.bigquery_stand_in import CLASSIFIED, IRIS_COLUMNS, BigQueryStandIn
from tests.platforms.progress import RecordedProgress
from workers.errors import PermanentError
from workers.platforms.cloud.bigquery.sql import table_rows
from workers.platforms.protocols import LiveVersion

LIVE = LiveVersion(version=1, environment="staging", folder=Path("unused"))


@pytest.fixture
def bigquery() -> Iterator[BigQueryStandIn]:
    """Yield a stand-in with versions 1 and 2, of which 2 is better."""
    columns, (metrics,) = CLASSIFIED
    worse = [*metrics[:2], 0.9, *metrics[3:-1], float("nan")]
    with serving(BigQueryStandIn(held_out=True, tables={"EVALUATE iris_v1": (columns, [worse])})) as stand_in:
        for version in (1, 2):
            warehouse(stand_in).train(model=model(), version=version, progress=RecordedProgress())
        yield stand_in


def test_both_versions_are_evaluated_on_the_table_of_the_held_out_rows(bigquery: BigQueryStandIn) -> None:
    comparison = warehouse(bigquery).compare(model=model(), version=2, live=LIVE, progress=RecordedProgress())
    assert (comparison.new["accuracy"], comparison.live["accuracy"]) == (0.96, 0.9)
    assert "roc_auc" in comparison.new and "roc_auc" not in comparison.live
    assert comparison.note == "on the rows that AUTO_SPLIT held out"
    asked = [body["configuration"]["query"] for body in bigquery.submitted("EVALUATE")]
    assert [one["query"] for one in asked] == [
        f"SELECT * FROM ML.EVALUATE(MODEL `demo.sales.iris_v{version}`, TABLE `demo._0f1e2d.anonevaluationTable`)"
        for version in (2, 1)
    ]
    assert {one["maximumBytesBilled"] for one in asked} == {str(100 * 10**9)}


def test_rows_are_those_of_the_query_if_none_were_held_out(bigquery: BigQueryStandIn) -> None:
    bigquery.held_out = False
    commented = model(query=f"{IRIS} -- all")
    warehouse(bigquery).train(model=commented, version=3, progress=RecordedProgress())
    comparison = warehouse(bigquery).compare(model=commented, version=3, live=LIVE, progress=RecordedProgress())
    assert "training rows" in comparison.note
    queries = [body["configuration"]["query"]["query"] for body in bigquery.submitted("EVALUATE")]
    assert queries[1] == f"SELECT * FROM ML.EVALUATE(MODEL `demo.sales.iris_v1`, (\n{IRIS} -- all\n))"


def test_live_version_with_a_column_that_the_query_lacks_is_found_by_the_check(bigquery: BigQueryStandIn) -> None:
    """Names of columns ignore case in BigQuery, and further columns do not matter."""
    adapter, progress = warehouse(bigquery), RecordedProgress()
    bigquery.schema = [("Petal_Length", "FLOAT"), *IRIS_COLUMNS[:2], *IRIS_COLUMNS[3:], ("colour", "STRING")]
    assert adapter.check(model=model(), live=LIVE, progress=progress).cost
    bigquery.schema = IRIS_COLUMNS[1:]
    with pytest.raises(
        PermanentError, match=r"iris\.gate: v1 on staging cannot .*: it needs sepal_length, and"
    ) as caught:
        adapter.check(model=model(), live=LIVE, progress=progress)
    assert "deploy that version to staging" in caught.value.advice
    with pytest.raises(PermanentError, match=r"v9 on staging cannot be compared: it is not in demo\.sales any more"):
        adapter.check(model=model(), live=replace(LIVE, version=9), progress=progress)


def test_name_of_a_table_that_is_none_does_not_reach_sql() -> None:
    with pytest.raises(ValueError, match="cannot be the name of a table"):
        table_rows({"projectId": "demo", "datasetId": "d", "tableId": "t`) --"})
