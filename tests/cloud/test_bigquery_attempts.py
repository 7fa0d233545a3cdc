"""Cancelled, interrupted and refused trainings in BigQuery, and their next attempts, with the REST stand-in."""

from collections.abc import Iterator

import pytest

from tests.cloud.bigquery_harness import IRIS, ShutDownInTraining, model, serving, trained, warehouse
from tests.cloud.bigquery_stand_in import BigQueryStandIn, ScriptedFault
from tests.platforms.progress import RecordedProgress
from workers.errors import JobCancelled, PermanentError, ShuttingDown, TemporaryError
from workers.platforms.cloud.bigquery.errors import JobFailed
from workers.platforms.cloud.bigquery.jobs import BigQueryJobs, open_client


@pytest.fixture
def bigquery() -> Iterator[BigQueryStandIn]:
    with serving(BigQueryStandIn()) as stand_in:
        yield stand_in


def test_cancellation_cancels_the_bigquery_job(bigquery: BigQueryStandIn) -> None:
    bigquery.endless = True
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set() if "iteration" in fact else None
    with pytest.raises(JobCancelled):
        warehouse(bigquery).train(model=model(), version=1, progress=progress)
    job = bigquery.jobs[progress.identities["training"]]
    assert job["status"]["errorResult"]["reason"] == "stopped"
    with pytest.raises(PermanentError, match="iris v1 has no finished training"):
        warehouse(bigquery).evaluate(model=model(), version=1, progress=RecordedProgress())


def test_failed_cancellation_in_bigquery_is_logged(bigquery: BigQueryStandIn) -> None:
    bigquery.endless = True
    bigquery.faults = [ScriptedFault("/cancel", status=403, reason="accessDenied", message="Access Denied.")]
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set() if "iteration" in fact else None
    with pytest.raises(JobCancelled):
        warehouse(bigquery).train(model=model(), version=1, progress=progress)
    assert any("could not be cancelled and may go on" in line for line in progress.lines)


def test_query_without_end_is_cancelled_at_its_deadline(bigquery: BigQueryStandIn) -> None:
    bigquery.endless = True
    with open_client(project="demo", location="EU", endpoint=bigquery.url) as client:
        jobs = BigQueryJobs(client=client, poll_s=0.01)
        job = jobs.start("CREATE OR REPLACE MODEL `a.b.c`", job_id="slow", labels={}, max_bytes=1)
        with pytest.raises(JobFailed, match="slow was not done"):
            jobs.finish(job, progress=RecordedProgress(), within_s=0.1)
    assert bigquery.jobs["slow"]["status"]["errorResult"]["reason"] == "stopped"


def test_next_attempt_resumes_the_training(bigquery: BigQueryStandIn) -> None:
    """The training is paid once."""
    bigquery.endless = True
    first = ShutDownInTraining()
    with pytest.raises(ShuttingDown):
        warehouse(bigquery).train(model=model(), version=1, progress=first)
    bigquery.endless = False
    again = RecordedProgress(identities=first.identities)
    training = warehouse(bigquery).train(model=model(), version=1, progress=again)
    assert training.identity == first.identities["training"]
    assert training.rows == 150
    assert len(bigquery.submitted("CREATE")) == len(bigquery.submitted("COUNT")) == 1
    assert any("Resuming BigQuery job" in line for line in again.lines)


def test_stored_job_id_without_a_job_is_started(bigquery: BigQueryStandIn) -> None:
    """The worker died between the two steps."""
    progress = RecordedProgress(identities={"training": "seatrial-iris-v1-00000000-00000000"})
    assert warehouse(bigquery).train(model=model(), version=1, progress=progress).rows == 150
    assert len(bigquery.submitted("CREATE")) == 1


def test_training_of_changed_settings_replaces_the_running_one(bigquery: BigQueryStandIn) -> None:
    """Two trainings never write one model at a time."""
    bigquery.endless = True
    first = ShutDownInTraining()
    with pytest.raises(ShuttingDown):
        warehouse(bigquery).train(model=model(), version=1, progress=first)
    old = first.identities["training"]
    bigquery.endless = False
    again = RecordedProgress(identities=first.identities)
    changed = model(query=IRIS + " WHERE TRUE")
    assert warehouse(bigquery).train(model=changed, version=1, progress=again).identity != old
    assert bigquery.jobs[old]["status"]["errorResult"]["reason"] == "stopped"


def test_lost_response_starts_no_second_training(bigquery: BigQueryStandIn) -> None:
    """The retry of jobs.insert is refused as a duplicate, and the job is found by its id."""
    progress = RecordedProgress()

    def lose_the_next_answer(fact: str) -> None:
        if "to read" in fact:
            bigquery.faults = [ScriptedFault("POST .*/jobs", after=True, drop=True)]

    progress.on_report = lose_the_next_answer
    training = warehouse(bigquery).train(model=model(), version=1, progress=progress)
    assert training.identity == progress.identities["training"]
    assert len(bigquery.submitted("CREATE")) == 2  # sent twice
    assert sum("CREATE" in str(job["configuration"]) for job in bigquery.jobs.values()) == 1


def test_temporary_error_is_retried_within_the_call(bigquery: BigQueryStandIn) -> None:
    bigquery.faults = [ScriptedFault("GET .*/datasets/"), ScriptedFault("POST .*/jobs"), ScriptedFault("GET .*/jobs/")]
    trained(bigquery, model())
    assert [fault.times for fault in bigquery.faults] == [0, 0, 0]


def test_failed_training_names_the_setting(bigquery: BigQueryStandIn) -> None:
    bigquery.training_failure = ("invalidQuery", "Classification needs 2 labels")
    with pytest.raises(PermanentError, match=r"^models\.iris\.query: Classification needs 2 labels\.$"):
        warehouse(bigquery).train(model=model(), version=1, progress=RecordedProgress())


def test_temporarily_failed_training_gets_a_new_job_id(bigquery: BigQueryStandIn) -> None:
    bigquery.training_failure = ("backendError", "Try again")
    progress = RecordedProgress()
    with pytest.raises(TemporaryError):
        warehouse(bigquery).train(model=model(), version=1, progress=progress)
    bigquery.training_failure = None
    warehouse(bigquery).train(model=model(), version=1, progress=RecordedProgress(identities=progress.identities))
    assert len(bigquery.submitted("CREATE")) == 2


def test_access_denied_names_the_role_to_grant(bigquery: BigQueryStandIn) -> None:
    words = "Access Denied: User does not have bigquery.jobs.create permission in project demo."
    bigquery.faults = [ScriptedFault("POST .*/jobs", status=403, reason="accessDenied", message=words)]
    with pytest.raises(PermanentError, match=words) as caught:
        trained(bigquery, model())
    assert "roles/bigquery.jobUser" in caught.value.advice
