"""Comparison of a new version with the live one by ML.EVALUATE, on the new version's evaluation rows."""

from collections.abc import Mapping

from google.api_core.exceptions import NotFound

from workers.platforms.cloud.bigquery import results, sql
from workers.platforms.cloud.bigquery.jobs import CALL_S, RETRY, BigQueryJobs
from workers.platforms.protocols import Comparison, LiveVersion, Model, Progress


def check_live(jobs: BigQueryJobs, place: sql.Place, model: Model, live: LiveVersion, *, columns: set[str]) -> None:
    """Raise PermanentError unless the live version is in the dataset and `columns`, in lower case, has its columns.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/models#Model.FIELDS.feature_columns
    """
    try:
        found = jobs.client.get_model(place.model_id(model, live.version), retry=RETRY, timeout=CALL_S)
    except NotFound as error:
        raise live.uncomparable(model, f"it is not in {place.dataset_id} any more") from error
    needed = [column.name for column in (*found.feature_columns, *found.label_columns) if column.name]
    if missing := [name for name in needed if name.casefold() not in columns]:
        raise live.uncomparable(model, f"it needs {', '.join(missing)}, and the query has no such column")


def compare(
    jobs: BigQueryJobs,
    place: sql.Place,
    model: Model,
    versions: tuple[int, int],
    *,
    held_out: Mapping[str, str] | None,
    progress: Progress,
) -> Comparison:
    """Return the metrics of the new and the live version on the table `held_out`, or else on the query's rows.

    BigQuery stores the table of the rows that were held out for 48 hours after the training:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#data_split_method
    """
    rows = sql.table_rows(held_out) if held_out else sql.query_rows(model)
    found = []
    for done, version in enumerate(versions):
        progress.report(done, 2, fact=f"evaluating v{version}")
        statement = sql.evaluate_on(place.model_id(model, version), rows)
        (row,) = jobs.rows(statement, progress=progress, max_bytes=model.max_bytes)
        found.append(results.evaluation(row, held_out=bool(held_out)))
    return Comparison(new=found[0].metrics, live=found[1].metrics, note=found[0].note)
