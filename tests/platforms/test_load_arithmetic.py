"""The pure half of a load test: the schedule, the ledger that workers and master share, percentiles."""

import importlib.util
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.platforms.attack import LOCUST_DIR
from workers.platforms.swarm import percentile_ms


def beside_the_locustfile(name: str) -> ModuleType:
    """A pure module of the folder locust/, which is no package."""
    specification = importlib.util.spec_from_file_location(f"locust_{name}", LOCUST_DIR / f"{name}.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


arrivals = beside_the_locustfile("arrivals")
ledger = beside_the_locustfile("ledger")

rates = st.floats(min_value=0.01, max_value=100_000)
times = st.floats(min_value=0.5, max_value=3600)


@given(rate_rps=rates, ramp_s=st.just(0.0) | times, duration_s=times, share=st.floats(min_value=0, max_value=1))
def test_requests_are_due_when_the_rate_asks_for_them(
    rate_rps: float, ramp_s: float, duration_s: float, share: float
) -> None:
    """When request n is due, n requests have been asked for; the last is due by the end."""
    schedule = arrivals.Arrivals(rate_rps=rate_rps, ramp_s=ramp_s, duration_s=duration_s)
    asked = share * schedule.asked_by(schedule.end_s)
    assert schedule.asked_by(schedule.due_s(asked)) == pytest.approx(asked, rel=1e-6, abs=1e-6)
    assert schedule.total == max(1, round(rate_rps * (duration_s + ramp_s / 2)))
    assert schedule.due_s(schedule.asked_by(schedule.end_s)) == pytest.approx(schedule.end_s)


def test_workers_ledgers_merge_exactly() -> None:
    """What two workers took out of their ledgers adds up in the master's, and is taken once."""
    master, workers = ledger.Ledger(), [ledger.Ledger(), ledger.Ledger()]
    for worker in workers:
        worker.second(0).sent += 3
        worker.ended(0, latency_ms=1.2345, failure=None)
        worker.ended(1, latency_ms=None, failure="HTTP 503")
        master.merge(worker.take())
        master.merge(worker.take())
    assert master.second(0).as_json() == {"sent": 6, "ended": 2, "latencies_ms": {"1.23": 2}, "failures": {}}
    assert master.second(1).as_json() == {"sent": 0, "ended": 2, "latencies_ms": {}, "failures": {"HTTP 503": 2}}
    assert master.in_flight == 2


@pytest.mark.parametrize(
    ("percentile", "expected"), [(50, 2.0), (90, 3.0), (99, 3.0), (99.9, 3.0), (100, 9.0)], ids=str
)
def test_percentiles_are_nearest_ranks(percentile: float, expected: float) -> None:
    """A percentile is a latency that was measured: the least that so many per cent did not exceed."""
    counts = {9.0: 1, 1.0: 499, 2.0: 100, 3.0: 400}
    assert percentile_ms(counts, percentile) == expected
    assert percentile_ms({}, percentile) is None
