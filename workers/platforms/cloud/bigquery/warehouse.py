"""The warehouse adapter for BigQuery ML: the order of training, evaluation and export.

Paid work happens only in `train`, after the free checks: names, locations, the query, and its bytes against
`max_bytes`. The BigQuery job's id is stored before the job begins, and the next attempt resumes that job.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import Dataset

from workers.contract.formatting import show_count
from workers.errors import JobError, PermanentError
from workers.platforms.cloud.bigquery import results, sql
from workers.platforms.cloud.bigquery.comparison import check_live, compare
from workers.platforms.cloud.bigquery.errors import BIGQUERY_ERRORS, RETRY_AFTER_S, JobFailed, translated_errors
from workers.platforms.cloud.bigquery.jobs import CALL_S, RETRY, BigQueryJobs, Job, failure_of, open_client
from workers.platforms.cloud.bigquery.query import check, request_types, show_bytes, show_price, show_share
from workers.platforms.protocols import Checked, Comparison, Evaluation, Finding, LiveVersion, Model, Progress, Training

UNEXPORTED_FOR = timedelta(days=7)
"""The time that an unexported model stays in the dataset, after a failed gate or job: enough for an examination."""
_TRAINING_INFO_S = 30.0


class BigQueryWarehouse:
    """Implements Warehouse with BigQuery ML; models are PROJECT.DATASET.MODEL_vN.

    `bucket` holds the artifacts, because BigQuery exports only to Cloud Storage. `endpoint` is the base URL of an
    emulator, or "" for Google's API. `poll_s` is the polling interval of a running job. Raises SettingsError for
    invalid names.
    """

    def __init__(
        self, *, project: str, dataset: str, location: str, bucket: str, endpoint: str = "", poll_s: float = 1.0
    ) -> None:
        self._place = sql.Place(project=project, dataset=dataset, location=location)
        self._bucket = bucket
        self._endpoint = endpoint
        self._poll_s = poll_s

    def check(self, *, model: Model, live: LiveVersion | None, progress: Progress) -> Checked:
        """Check by dry runs of the query and of CREATE MODEL, which needs an existing dataset; see Warehouse."""
        progress.check()
        with translated_errors(f"check {model.name}", model=model), self._connected() as jobs:
            location = self._dataset_location(jobs)
            dry_run = jobs.dry_run(model.query)
            cost = f"{check(model, dry_run)}, {show_share(model, dry_run)}"
            if location:
                jobs.dry_run(sql.create_model(self._place.model_id(model, 1), model))
            if live:
                columns = {field.name.casefold() for field in dry_run.schema or ()}
                check_live(jobs, self._place, model, live, columns=columns)
        return Checked(features=request_types(model, dry_run), cost=cost)

    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train as in the Protocol, or resume the BigQuery job of an earlier attempt.

        Also counts the labelled rows, which costs at most a query over the label's column.
        """
        with translated_errors(f"train {model.name} v{version}", model=model), self._connected() as jobs:
            self._ensure_dataset(jobs, progress)
            statement = sql.create_model(self._place.model_id(model, version), model)
            job = self._earlier(jobs, statement, progress) or self._begin(jobs, model, version, statement, progress)
            trained = self._trained(jobs, job, model, version, progress)
            self._expire(jobs, model, version, at=datetime.now(UTC) + UNEXPORTED_FOR, progress=progress)
            return trained

    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """Return ML.EVALUATE's metrics, and log a classifier's confusion matrix and a tree's feature importance."""
        progress.check()
        with translated_errors(f"evaluate {model.name} v{version}"), self._connected() as jobs:
            runs = self._model(jobs, model, version).training_runs
            model_id = self._place.model_id(model, version)
            metrics = jobs.rows(sql.of_model("EVALUATE", model_id), progress=progress)
            means = results.means(jobs.rows(sql.of_model("FEATURE_INFO", model_id), progress=progress))
            lines = []
            if model.type in sql.CLASSIFIERS:
                lines += results.confusion(jobs.rows(sql.of_model("CONFUSION_MATRIX", model_id), progress=progress))
            if model.type in sql.TREES:
                lines += results.importance(jobs.rows(sql.of_model("FEATURE_IMPORTANCE", model_id), progress=progress))
        for line in lines:
            progress.log(line)
        evaluation = results.evaluation(metrics[0], held_out=results.evaluation_table(runs) is not None)
        return replace(evaluation, means=means)

    def compare(self, *, model: Model, version: int, live: LiveVersion, progress: Progress) -> Comparison:
        """Run ML.EVALUATE for both versions on the table of the rows that were held out; see Warehouse.

        If no rows were held out, the rows are those of the query, which is then read twice.
        """
        with translated_errors(f"compare {model.name} v{version} with v{live.version}"), self._connected() as jobs:
            held_out = results.evaluation_table(self._model(jobs, model, version).training_runs)
            versions = (version, live.version)
            return compare(jobs, self._place, model, versions, held_out=held_out, progress=progress)

    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Extract to the gs:// prefix `to`. Return "saved_model", or "xgboost_booster" for boosted trees.

        First cancels an extract of an earlier attempt, because two must not write to one prefix.
        https://cloud.google.com/bigquery/docs/exporting-models
        """
        if not to.startswith(f"gs://{self._bucket}/"):
            raise PermanentError(
                f"The export address {to} is not in gs://{self._bucket}/.",
                advice="Restart the worker: its settings have changed since it started.",
            )
        booster = model.type in sql.TREES
        with translated_errors(f"export {model.name} v{version}"), self._connected() as jobs:
            self._model(jobs, model, version)
            self._stop(jobs, jobs.find(progress.external_id("export")), progress)
            identity = sql.job_id(model, version, doing="export", once=token_hex(4))
            progress.save_external_id("export", identity)
            progress.check()
            job = jobs.start_extract(
                self._place.model_id(model, version),
                to=to.rstrip("/"),
                destination_format="ML_XGBOOST_BOOSTER" if booster else "ML_TF_SAVED_MODEL",
                job_id=identity,
                labels=sql.labels(model, version, seatrial_job=progress.job_id),
            )
            jobs.finish(job, progress=progress)
            self._expire(jobs, model, version, at=None, progress=progress)
        return "xgboost_booster" if booster else "saved_model"

    def diagnose(self) -> Iterator[Finding]:
        """Check the connection and the permission to run jobs with a free dry run, then the dataset's location."""
        place = self._place
        try:
            with translated_errors(f"run queries in {place.project}"), self._connected() as jobs:
                jobs.dry_run("SELECT 1")
                yield Finding(what=f"BigQuery runs queries in {place.project}, {place.location}", ok=True)
                location = self._dataset_location(jobs)
                found = f"is in {location}" if location else "does not exist: the first training creates it"
                yield Finding(what=f"dataset {place.dataset_id} {found}", ok=True)
        except JobError as error:
            advice = getattr(error, "advice", "Check the connection to bigquery.googleapis.com.")
            yield Finding(what=str(error).rstrip("."), ok=False, advice=advice)

    @contextmanager
    def _connected(self) -> Iterator[BigQueryJobs]:
        """Open a client for one call, because its HTTP session is for one thread."""
        place = self._place
        with open_client(project=place.project, location=place.location, endpoint=self._endpoint) as client:
            yield BigQueryJobs(client=client, poll_s=self._poll_s)

    def _dataset_location(self, jobs: BigQueryJobs) -> str | None:
        """Return the dataset's location, or None without a dataset. Raises PermanentError for another location."""
        place = self._place
        try:
            found = str(jobs.client.get_dataset(place.dataset_id, retry=RETRY, timeout=CALL_S).location)
        except NotFound:
            return None
        if found.casefold() != place.location.casefold():
            raise PermanentError(
                f"Dataset {place.dataset_id} is in {found}, but the settings say {place.location}.",
                advice=f"Set warehouse to bigquery://{place.project}/{place.dataset}/{found}, and use a bucket there: "
                "BigQuery exports within one location.",
            )
        return found

    def _ensure_dataset(self, jobs: BigQueryJobs, progress: Progress) -> None:
        """Create the dataset if it is missing, with the permission in roles/bigquery.user."""
        place = self._place
        with translated_errors(f"open the dataset {place.dataset_id}"):
            if self._dataset_location(jobs) is None:
                dataset = Dataset(place.dataset_id)
                dataset.location = place.location
                dataset.description = "Models trained by Seatrial."
                jobs.client.create_dataset(dataset, exists_ok=True, retry=RETRY, timeout=CALL_S)
                progress.log(f"Created dataset {place.dataset_id} in {self._dataset_location(jobs)}.")

    def _earlier(self, jobs: BigQueryJobs, statement: str, progress: Progress) -> Job | None:
        """Return an earlier attempt's job, running or done, if it has the same statement and need not be repeated."""
        job = jobs.find(progress.external_id("training"))
        if job is None:
            return None
        if sql.fingerprint(statement) not in job.job_id:
            self._stop(jobs, job, progress)
            return None
        if (failure := failure_of(job)) and failure.reason in RETRY_AFTER_S:
            return None
        progress.log(f"Resuming BigQuery job {job.job_id} of an earlier attempt.")
        return job

    def _begin(self, jobs: BigQueryJobs, model: Model, version: int, statement: str, progress: Progress) -> Job:
        """Make the free checks, count the rows, store the job's id and start it."""
        progress.report(0, None, fact="dry run")
        estimate = check(model, jobs.dry_run(model.query))
        progress.log(f"Dry run: {estimate}.")
        counted = jobs.rows(sql.count_rows(model), progress=progress, max_bytes=model.max_bytes)[0]
        rows, unlabelled = int(counted["labelled"]), int(counted["unlabelled"])
        if unlabelled:
            progress.log(f"Left out {show_count(unlabelled, 'row')} without a label.")
        if rows < 2:
            raise PermanentError(
                f"models.{model.name}.query: it returns {show_count(rows, 'row')} with a label, too few for training.",
                advice="Change the query to return more rows.",
            )
        identity = sql.job_id(model, version, doing=sql.fingerprint(statement), once=token_hex(4))
        progress.save_external_id("training", identity)
        progress.report(0, results.MAX_ITERATIONS, fact=f"{rows:,} rows, {estimate}")
        labels = sql.labels(model, version, seatrial_job=progress.job_id, rows=str(rows))
        progress.check()
        return jobs.start(statement, job_id=identity, labels=labels, max_bytes=model.max_bytes)

    def _trained(self, jobs: BigQueryJobs, job: Job, model: Model, version: int, progress: Progress) -> Training:
        """Wait for the job, report its iterations, and return the training."""

        def watch() -> None:
            if losses := self._losses(jobs, model, version, progress):
                fact = f"iteration {len(losses)}, loss {losses[-1]:.4g} {results.chart(losses)}"
                progress.report(min(len(losses), results.MAX_ITERATIONS), results.MAX_ITERATIONS, fact=fact)

        job = jobs.finish(job, progress=progress, watch=watch)
        rows = job.labels.get("rows")
        if rows is None:
            rows = jobs.rows(sql.count_rows(model), progress=progress, max_bytes=model.max_bytes)[0]["labelled"]
        losses = self._losses(jobs, model, version, progress)
        note, iterations = results.training_note(losses), max(len(losses), 1)
        progress.report(iterations, iterations, fact=note)
        read_bytes = job.total_bytes_processed or 0
        # For trees, the billed bytes include the cost of Vertex AI's training, converted to bytes:
        # https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#externalservicecost
        paid_bytes = read_bytes if model.type in sql.TREES else job.total_bytes_billed or read_bytes
        cost = f"{show_bytes(read_bytes)} read, {show_price(model, paid_bytes)}"
        return Training(identity=job.job_id, rows=int(rows), note=f"{note}, {cost}")

    def _losses(self, jobs: BigQueryJobs, model: Model, version: int, progress: Progress) -> list[float]:
        """Return the losses until now, or an empty list if BigQuery cannot report them.

        An error here must not end a training. Before the first iteration the model is not found:
        https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-train
        """
        statement = sql.of_model("TRAINING_INFO", self._place.model_id(model, version))
        with suppress(*BIGQUERY_ERRORS):
            return results.training_losses(jobs.rows(statement, progress=progress, within_s=_TRAINING_INFO_S))
        return []

    def _model(self, jobs: BigQueryJobs, model: Model, version: int) -> Any:
        """Return the trained model's resource. Raises PermanentError if it does not exist."""
        try:
            return jobs.client.get_model(self._place.model_id(model, version), retry=RETRY, timeout=CALL_S)
        except NotFound as error:
            raise PermanentError(
                f"{model.name} v{version} has no finished training in {self._place.dataset_id}.",
                advice="Train a new version.",
            ) from error

    def _expire(
        self, jobs: BigQueryJobs, model: Model, version: int, *, at: datetime | None, progress: Progress
    ) -> None:
        """Let BigQuery delete the model at that time, or never for None. Logs a refusal and continues.

        https://cloud.google.com/bigquery/docs/updating-model-metadata#expiration
        """
        try:
            found = self._model(jobs, model, version)
            found.expires = at
            jobs.client.update_model(found, ["expires"], retry=RETRY, timeout=CALL_S)
        except BIGQUERY_ERRORS as error:
            progress.log(f"The expiration of {self._place.model_id(model, version)} could not be set: {error}")

    def _stop(self, jobs: BigQueryJobs, job: Job | None, progress: Progress) -> None:
        """Cancel an earlier attempt's running job, and wait for its end."""
        if job is not None and job.state != "DONE":
            jobs.cancel(job, progress=progress)
            with suppress(JobFailed):
                jobs.finish(job, progress=progress)
