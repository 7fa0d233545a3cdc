"""BigQuery jobs: started under our own id, polled, cancelled and found again.

Every call has a deadline. Between calls the thread waits in `progress`, which can interrupt it. Raises the SDK's errors
and JobFailed, which the warehouse translates.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client, ExtractJobConfig, QueryJobConfig
from google.cloud.bigquery.retry import DEFAULT_RETRY

from workers.errors import JobCancelled
from workers.platforms.cloud.bigquery.errors import BIGQUERY_ERRORS, JobFailed
from workers.platforms.cloud.bigquery.results import Row
from workers.platforms.protocols import Progress

CALL_S = 15.0
"""The deadline of one HTTP request. The API answers in well under a second, because jobs are polled."""
RETRY = DEFAULT_RETRY.with_timeout(30.0)
"""5xx, rate limits and broken connections are retried for half a minute. The SDK's default of ten minutes would delay a
cancellation too long."""
QUERY_S = 600.0
"""The longest time of a query about rows or a model, queueing included."""

# The SDK's job classes share no public name.
Job = Any


def open_client(*, project: str, location: str, endpoint: str) -> Client:
    """Return a client with Application Default Credentials, or without credentials for the emulator at `endpoint`."""
    if not endpoint:
        return Client(project=project, location=location)
    url = endpoint if "://" in endpoint else f"http://{endpoint}"
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    options = ClientOptions(api_endpoint=url)
    return Client(project=project, location=location, credentials=credentials, client_options=options)


@dataclass(frozen=True, kw_only=True, slots=True)
class BigQueryJobs:
    """The jobs in the client's project and location, polled every `poll_s` seconds."""

    client: Client
    poll_s: float

    def find(self, job_id: str | None) -> Job | None:
        """Return the job, or None without an id or a job with that id."""
        if job_id is None:
            return None
        try:
            return self.client.get_job(job_id, retry=RETRY, timeout=CALL_S)
        except NotFound:
            return None

    def dry_run(self, sql: str) -> Job:
        """Return the job that `sql` would be, with bytes, schema and statement type, at no cost.

        https://cloud.google.com/bigquery/docs/running-queries#dry-run
        """
        return self._query(sql, config=QueryJobConfig(dry_run=True, use_query_cache=False))

    def start(self, sql: str, *, job_id: str, labels: Mapping[str, str], max_bytes: int) -> Job:
        """Start `sql` as the job `job_id`, or return the job if it already started and the answer was lost."""
        config = QueryJobConfig(labels=dict(labels), maximum_bytes_billed=max_bytes)
        return self._started(job_id, lambda: self._query(sql, config=config, job_id=job_id))

    def start_extract(
        self, model_id: str, *, to: str, destination_format: str, job_id: str, labels: Mapping[str, str]
    ) -> Job:
        """Start to write the model's files under the gs:// address `to`.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobconfigurationextract
        """
        config = ExtractJobConfig(labels=dict(labels), destination_format=destination_format)  # type: ignore[no-untyped-call]
        return self._started(
            job_id,
            lambda: self.client.extract_table(
                model_id, to, source_type="Model", job_id=job_id, job_config=config, retry=RETRY, timeout=CALL_S
            ),
        )

    def finish(
        self, job: Job, *, progress: Progress, within_s: float = float("inf"), watch: Callable[[], None] | None = None
    ) -> Job:
        """Wait until `job` is done and call `watch` at every fifth poll. Raises JobFailed if it failed.

        Cancels it, and logs that, if a person cancels our job or after `within_s`. An attempt that is interrupted for
        another reason leaves it to the next attempt.
        """
        deadline_s = time.monotonic() + within_s
        polls = 0
        try:
            while job.state != "DONE":
                if time.monotonic() > deadline_s:
                    self.cancel(job, progress=progress)
                    raise JobFailed(reason="timeout", words=f"Job {job.job_id} was not done in {within_s:.0f} s")
                progress.wait(min(self.poll_s, 0.1 * 2 ** min(polls, 9)))
                job.reload(retry=RETRY, timeout=CALL_S)
                polls += 1
                if watch and polls % 5 == 1 and job.state == "RUNNING":
                    watch()
        except JobCancelled:
            self.cancel(job, progress=progress)
            raise
        if failure := failure_of(job):
            raise failure
        return job

    def rows(
        self, sql: str, *, progress: Progress, within_s: float = QUERY_S, max_bytes: int | None = None
    ) -> list[Row]:
        """Return the rows of a query that returns at most a few hundred."""
        started = self._query(sql, config=QueryJobConfig(maximum_bytes_billed=max_bytes))
        job = self.finish(started, progress=progress, within_s=within_s)
        return [dict(row.items()) for row in job.result(retry=RETRY, timeout=CALL_S, job_retry=None)]

    def cancel(self, job: Job, *, progress: Progress) -> None:
        """Ask BigQuery to cancel `job`. BigQuery does so soon, or not at all.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/cancel
        """
        try:
            job.cancel(retry=RETRY, timeout=CALL_S)
        except BIGQUERY_ERRORS as error:
            progress.log(f"BigQuery job {job.job_id} could not be cancelled and may go on: {error}")
        else:
            progress.log(f"BigQuery job {job.job_id} was cancelled.")

    def _query(self, sql: str, *, config: QueryJobConfig, job_id: str | None = None) -> Job:
        # Without job_retry: a failed query would be paid again.
        return self.client.query(sql, job_config=config, job_id=job_id, retry=RETRY, timeout=CALL_S, job_retry=None)

    def _started(self, job_id: str, start: Callable[[], Job]) -> Job:
        """Start a job, or return the job that has the id already."""
        try:
            return start()
        except Conflict:
            job = self.find(job_id)
        if job is None:
            raise JobFailed(reason="duplicate", words=f"Job {job_id} exists and cannot be read yet")
        return job


def failure_of(job: Job) -> JobFailed | None:
    """Return the failure of a finished job, or None."""
    result = job.error_result
    return JobFailed(reason=result.get("reason", ""), words=result.get("message", "")) if result else None
