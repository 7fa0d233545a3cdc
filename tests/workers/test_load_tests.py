"""Load tests from the queue to the outcome, with real workers, real traffic and faulty targets."""

import json
import socket
from pathlib import Path

import pytest

from bot.cards.load_test import CARD
from tests.waiting import wait_until
from tests.workers.harness import WorkerHarness, deployed
from tests.workers.limited_target import limited_target
from workers.contract import events as e
from workers.contract.jobs import LoadTest, Tested
from workers.contract.load import Abort, Shape, Slo
from workers.contract.record import Record

SLO = Slo(latency_ms=((95.0, 5_000.0),), errors_percent=1)


def target_settings(url: str) -> str:
    """Return the settings of a target named checkout."""
    return f'\n[targets.checkout]\nurl = "{url}"\nowner = "@shop"\nbody = {{ instances = [] }}\nprivate = true\n'


def load_test(place: str, *, model: str = "", rate_rps: float = 20, duration_s: float = 2, **more: object) -> LoadTest:
    """Return a load test at a low rate."""
    shape = Shape(lowest_rps=rate_rps, highest_rps=rate_rps)
    return LoadTest(model=model, environment=place, shape=shape, duration_s=duration_s, slo=SLO, **more)  # type: ignore[arg-type]


def outcome_of(record: Record) -> Tested:
    """Return the outcome of a load test that succeeded."""
    assert record.state == "succeeded", record.reason
    assert isinstance(record.outcome, Tested)
    return record.outcome


def test_load_test_is_reported_and_compared_with_the_earlier_one(harness: WorkerHarness, registry: Path) -> None:
    harness.worker()
    deployed(harness, registry)
    first = outcome_of(harness.measured("first", load_test("staging", model="iris", duration_s=1)))
    assert (first.verdict, first.failures, first.earlier) == ("PASS", 0, None)
    assert 15 <= first.requests <= 25
    assert 0 < len(first.timeline) <= 20
    assert first.timeline[-1].requests == first.requests
    again = harness.measured("again", load_test("staging", model="iris", duration_s=1))
    second = outcome_of(again)
    assert second.earlier is not None
    assert (second.earlier.runs, second.earlier.verdict) == (1, "PASS")
    assert second.earlier.latency_ms == first.latency_ms
    files = harness.files(again.id)
    assert set(files) >= {"chart.png", "report.html", "report.json"}
    assert json.loads(files["report.json"])["result"]["requests"] == second.requests
    assert b"the median of 1 earlier run" in files["report.html"]
    assert len(list((harness.folder / "home").glob("models/_reports/staging/iris/*.json"))) >= 2


def test_load_target_is_loaded_without_replicas(harness: WorkerHarness) -> None:
    with limited_target(limit_rps=1_000) as target:
        harness.add_settings(target_settings(target.url))
        harness.worker()
        record = harness.measured("load", load_test("checkout", rate_rps=1, duration_s=1))
    outcome = outcome_of(record)
    assert (outcome.verdict, outcome.replicas_before, outcome.replicas_most) == ("PASS", 0, 0)
    assert [step.note for step in record.steps] == [target.url, "1 request, 0 failed", "PASS"]


def test_card_shows_the_counts_of_the_target(harness: WorkerHarness) -> None:
    """The card's counts are exact, to the last request."""
    with limited_target(limit_rps=1_000) as target:
        harness.add_settings(target_settings(target.url))
        harness.worker()
        job_id = harness.ask("load", load_test("checkout", rate_rps=36, duration_s=3, ramp_s=1))
        record = harness.last_measured(job_id, first=lambda: setattr(target, "limit_rps", 0))
    assert record.measured is not None
    sent = target.requests - 1  # one request checks the target before the load
    assert (record.measured.sample.requests, record.measured.sample.failures) == (sent, target.refused)
    assert sent == 36 * 3 + 18
    assert f"{target.refused} of {sent} requests" in str(CARD.live(record))


def test_load_test_fails_before_any_load_if_the_target_is_down(harness: WorkerHarness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    harness.add_settings(target_settings(url))
    harness.worker()
    outcome = outcome_of(harness.ended(harness.ask("load", load_test("checkout"))))
    assert (outcome.verdict, outcome.requests, outcome.asked_rps) == ("FAIL", 0, 20)
    assert "refused" in outcome.reasons[0]


def test_load_test_succeeds_if_its_report_cannot_be_stored(harness: WorkerHarness) -> None:
    harness.add_settings(target_settings("http://127.0.0.1:9/"))
    models = harness.folder / "home" / "models"
    models.mkdir(parents=True)
    (models / "_reports").write_text("a file where a folder should be")
    harness.worker()
    job_id = harness.ask("load", load_test("checkout"))
    assert outcome_of(harness.ended(job_id)).verdict == "FAIL"
    lines = [event.line for event in harness.queue.events(job_id) if isinstance(event, e.Logged)]
    assert [line for line in lines if "could not be stored" in line and "_reports" in line]


def test_load_test_is_aborted_if_the_target_fails(harness: WorkerHarness) -> None:
    with limited_target(limit_rps=1_000) as target:
        harness.add_settings(target_settings(target.url))
        harness.worker()
        abort = Abort(errors_percent=50, for_s=2)
        job_id = harness.ask("load", load_test("checkout", duration_s=55, abort=abort))
        wait_until(lambda: harness.record(job_id).measured is not None)
        target.limit_rps = 0
        outcome = outcome_of(harness.ended(job_id))
    assert outcome.verdict in ("FAIL", "INVALID")
    assert outcome.aborted_after_s is not None
    assert 2 <= outcome.aborted_after_s < 40
    abort_reason = next(reason for reason in outcome.reasons if "Stopped after" in reason)
    assert "HTTP 503" in abort_reason


FLOOD = """
from locust import FastHttpUser, constant_throughput, task

class Shopper(FastHttpUser):
    wait_time = constant_throughput(40)

    @task
    def buy(self):
        self.client.get("/")
"""


@pytest.mark.parametrize("ramp_s", [0, 50])
def test_load_test_is_stopped_if_the_users_locust_file_exceeds_the_rate(harness: WorkerHarness, ramp_s: float) -> None:
    with limited_target(limit_rps=10_000) as target:
        (harness.folder / "flood.py").write_text(FLOOD)
        harness.add_settings('\n[loadtest]\nlocustfile = "flood.py"\n' + target_settings(target.url))
        harness.worker()
        outcome = outcome_of(harness.ended(harness.ask("load", load_test("checkout", duration_s=55, ramp_s=ramp_s))))
    assert outcome.verdict == "INVALID"
    assert outcome.aborted_after_s is not None
    assert outcome.aborted_after_s < 30
    assert "above the limit of 20/s." in outcome.reasons[0]
    assert not any("No request was sent" in reason for reason in outcome.reasons)


def test_worker_refuses_too_long_a_test_and_a_missing_locust_file(harness: WorkerHarness) -> None:
    harness.add_settings('\n[loadtest]\nlongest = "1m"\nlocustfile = "mine.py"\n')
    harness.add_settings(target_settings("http://127.0.0.1:9/"))
    harness.worker()
    too_long = harness.ended(harness.ask("long", load_test("checkout", duration_s=59, ramp_s=2)))
    no_file = harness.ended(harness.ask("load", load_test("checkout")))
    assert (too_long.state, no_file.state) == ("failed", "failed")
    assert "may last 1 m" in too_long.reason
    assert str(harness.folder / "mine.py") in no_file.reason
