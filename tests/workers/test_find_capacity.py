"""Capacity searches from the queue to the outcome, with real workers, real traffic and a known limit."""

import json
import os
import signal
from pathlib import Path

from tests.waiting import wait_until
from tests.workers.harness import WorkerHarness, deployed
from tests.workers.limited_target import limited_target
from tests.workers.png import size_of_png
from workers.contract.jobs import CapacityFound, FindCapacity
from workers.contract.load import Slo
from workers.contract.record import Record
from workers.contract.replicas import Replicas
from workers.contract.settings_reader import read_settings_file
from workers.platforms.embedded.cluster.cluster import EmbeddedCluster

BOUNDS = Replicas(minimum=1, maximum=2)


def find(place: str, *, model: str = "", lowest_rps: float, highest_rps: float, hold: bool = False) -> FindCapacity:
    """Return a search with short probes."""
    return FindCapacity(
        model=model,
        environment=place,
        lowest_rps=lowest_rps,
        highest_rps=highest_rps,
        probe_s=3.0,
        hold_replicas=hold,
        slo=Slo(latency_ms=((95.0, 5_000.0),), errors_percent=10.0),
    )


def outcome_of(record: Record) -> CapacityFound:
    """Return the outcome of a search that succeeded."""
    assert record.state == "succeeded", record.reason
    assert isinstance(record.outcome, CapacityFound)
    return record.outcome


def endpoint_bounds(harness: WorkerHarness) -> Replicas | None:
    """Return the endpoint's bounds from the cluster."""
    environment = read_settings_file(harness.folder / "seatrial.toml").environments["staging"]
    endpoint = EmbeddedCluster(home=harness.folder / "home").endpoint(model="iris", environment=environment)
    return endpoint.replicas if endpoint else None


def test_search_finds_the_limit_of_a_target(harness: WorkerHarness) -> None:
    """The limit is 205 requests a second, so 200 hold and 210 do not."""
    with limited_target(limit_rps=205) as target:
        harness.add_settings(f'\n[targets.checkout]\nurl = "{target.url}"\nowner = "@shop"\nprivate = true\n')
        harness.add_settings("body = { instances = [] }\n")
        harness.worker()
        record = harness.measured("find", find("checkout", lowest_rps=200, highest_rps=210))
    outcome = outcome_of(record)
    assert outcome.rate_rps == 200, outcome
    assert (outcome.replicas, outcome.per_replica_rps) == (0, None)
    assert [(probe.rate_rps, probe.verdict) for probe in outcome.probes] == [(200, "PASS"), (210, "FAIL")]
    assert outcome.probes[1].errors_percent > 10
    assert "did not hold" in outcome.limit
    files = harness.files(record.id)
    assert size_of_png(files["chart.png"]) == (1600, 1200)
    assert json.loads(files["capacity.json"])["result"]["rate_rps"] == outcome.rate_rps


def test_replicas_are_frozen_during_a_search_and_their_bounds_restored(harness: WorkerHarness, registry: Path) -> None:
    harness.worker()
    deployed(harness, registry, replicas=BOUNDS)
    job_id = harness.ask("find", find("staging", model="iris", lowest_rps=20, highest_rps=20, hold=True))
    wait_until(lambda: harness.record(job_id).measured is not None)
    assert endpoint_bounds(harness) == Replicas(minimum=1, maximum=1)
    outcome = outcome_of(harness.ended(job_id))
    assert endpoint_bounds(harness) == BOUNDS
    assert (outcome.replicas, outcome.per_replica_rps) == (1, outcome.rate_rps)


def test_bounds_are_restored_after_the_worker_was_killed_and_the_search_cancelled(
    harness: WorkerHarness, registry: Path
) -> None:
    """The next worker reads the saved bounds from the record."""
    first = harness.worker("first")
    deployed(harness, registry, replicas=BOUNDS)
    job_id = harness.ask("find", find("staging", model="iris", lowest_rps=20, highest_rps=1_000, hold=True))
    wait_until(lambda: harness.record(job_id).measured is not None)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    harness.queue.cancel(job_id, by="U2")
    assert endpoint_bounds(harness) == Replicas(minimum=1, maximum=1)
    harness.worker("second")
    assert harness.ended(job_id).state == "cancelled"
    assert endpoint_bounds(harness) == BOUNDS
