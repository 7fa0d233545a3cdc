"""Pure parts of a load test: schedule, counts by second, samples and response checks."""

import importlib
import json
import sys
from itertools import pairwise
from random import Random
from statistics import mean, pstdev
from types import ModuleType

import pytest
from hypothesis import given, strategies as st

from workers.platforms.traffic_plan import LOCUST_DIR


def import_beside_locustfile(name: str) -> ModuleType:
    """Import a pure module of the folder locust/, which is not a package."""
    sys.path.insert(0, str(LOCUST_DIR))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(LOCUST_DIR))


arrivals = import_beside_locustfile("arrivals")
ledger = import_beside_locustfile("ledger")
http_responses = import_beside_locustfile("http_responses")
test_run = import_beside_locustfile("test_run")

rates = st.just(0.0) | st.floats(min_value=0.001, max_value=10_000)  # a rate is 0, or at least the lowest one
lengths = st.floats(min_value=0.5, max_value=3600)
stages = st.lists(st.builds(arrivals.RateStage, from_rps=rates, to_rps=rates, length_s=lengths), min_size=1, max_size=5)


def constant(rate_rps: float, length_s: float) -> object:
    return arrivals.ArrivalSchedule([arrivals.RateStage(from_rps=rate_rps, to_rps=rate_rps, length_s=length_s)])


def due_times(worker: object) -> list[float]:
    """Return the due times of all further requests of a worker."""
    due_s = []
    while worker.next_s != arrivals.NEVER:
        due_s.append(worker.next_s)
        worker.advance()
    return due_s


@given(stages=stages, share=st.floats(min_value=0, max_value=1))
def test_request_is_due_when_area_under_rate_reaches_its_number(stages: list, share: float) -> None:
    schedule = arrivals.ArrivalSchedule(stages)
    number = share * schedule.total
    at_s = schedule.time_of(number)
    assert 0 <= at_s <= schedule.end_s
    assert schedule.due_by(at_s) == pytest.approx(number, rel=1e-6, abs=1e-3)
    assert schedule.due_by(schedule.end_s) == schedule.total


@given(
    rate_rps=st.floats(min_value=0.001, max_value=300),
    ramp_s=st.floats(min_value=0.1, max_value=3),
    workers=st.integers(min_value=1, max_value=7),
    poisson=st.booleans(),
    seed=st.integers(),
)
def test_workers_together_send_the_requested_total(
    rate_rps: float, ramp_s: float, workers: int, poisson: bool, seed: int
) -> None:
    """Due times are in order and within the test. Their number is the rounded area under the rate, and at least one."""
    ramp = arrivals.RateStage(from_rps=0, to_rps=rate_rps, length_s=ramp_s)
    schedule = arrivals.ArrivalSchedule([ramp, arrivals.RateStage(from_rps=rate_rps, to_rps=rate_rps, length_s=2)])
    due_s = []
    for index in range(workers):
        part = arrivals.Arrivals(schedule, index=index, workers=workers, poisson=poisson, random=Random(seed + index))
        part.take(1 / workers, at_s=0)
        due_s.append(due_times(part))
        assert due_s[-1] == sorted(due_s[-1])
        assert all(0 <= each <= schedule.end_s for each in due_s[-1])
    assert sum(map(len, due_s)) == pytest.approx(max(schedule.total, 1), abs=0.5 + 1e-5)


def test_requests_of_two_workers_are_evenly_spaced() -> None:
    parts = [arrivals.Arrivals(constant(100, 1), index=index, workers=2) for index in (0, 1)]
    for part in parts:
        part.take(0.5, at_s=0)
    due_s = sorted(each for part in parts for each in due_times(part))
    assert due_s == pytest.approx([(number + 0.5) / 100 for number in range(100)])


def test_worker_takes_over_the_share_of_another_during_the_test() -> None:
    schedule = constant(100, 10)
    part = arrivals.Arrivals(schedule, index=0, workers=2)
    part.take(0.5, at_s=0)
    due_s = []
    while part.next_s < 4:
        due_s.append(part.next_s)
        part.advance()
    assert len(due_s) == 200
    part.take(1.0, at_s=4)
    rest_s = due_times(part)
    assert len(rest_s) == 600
    assert [later - earlier for earlier, later in pairwise(rest_s)] == pytest.approx([0.01] * 599)
    part.take(0.0, at_s=10)
    assert part.next_s == arrivals.NEVER


def test_poisson_arrivals_have_exponential_gaps() -> None:
    """The standard deviation of the gaps equals their mean."""
    part = arrivals.Arrivals(constant(1000, 10), poisson=True, random=Random(1))
    part.take(1.0, at_s=0)
    due_s = due_times(part)
    gaps_s = [later - earlier for earlier, later in pairwise(due_s)]
    assert len(due_s) == 10_000
    assert pstdev(gaps_s) == pytest.approx(mean(gaps_s), rel=0.05)


def test_ledgers_of_two_workers_are_merged_exactly_once() -> None:
    master, workers = ledger.Ledger(), [ledger.Ledger(), ledger.Ledger()]
    for worker in workers:
        worker.second(0).leave(lag_ms=0.0512)
        worker.second(0).end(None)
        worker.second(0).measure(latency_ms=1.2345, service_ms=1.2)
        worker.second(-1).drop("no room")
        worker.second(1).leave(lag_ms=0.001)
        worker.second(1).end("HTTP 503")
        master.merge(worker.take())
        master.merge(worker.take())
    judged = master.judged()
    assert (judged.sent, judged.ended, judged.dropped, judged.failures) == (4, 4, 0, {"HTTP 503": 2})
    assert (judged.latency_ms, judged.lag_ms) == ({1.23: 2}, {0.0512: 2, 0.01: 2})
    assert master.second(-1).failures == {"no room": 2}


@pytest.mark.parametrize(
    ("percentile", "expected"), [(50, 2.0), (90, 3.0), (99, 3.0), (99.9, 3.0), (100, 9.0)], ids=str
)
def test_percentile_is_a_measured_value(percentile: float, expected: float) -> None:
    counts = {9.0: 1, 1.0: 499, 2.0: 100, 3.0: 400}
    assert ledger.percentile_ms(counts, percentile) == expected
    assert ledger.percentile_ms({}, percentile) is None


def test_timeline_numbers_seconds_from_the_end_of_the_ramp() -> None:
    timeline = ledger.Timeline(ramp_s=1.5, end_s=4.0)
    assert (timeline.first, timeline.last) == (-2, 2)
    assert [timeline.number(at_s) for at_s in (0, 0.6, 1.5, 3.9, 4.0)] == [-2, -1, 0, 2, 2]
    assert [timeline.bounds_s(number) for number in (-2, 0, 2)] == [(0.0, 0.5), (1.5, 2.5), (3.5, 4.0)]


def report(number: int, *, over: bool = False, sent: int = 10, cpu_s: float = 0.0) -> dict:
    """Return a worker's report of a second."""
    part = ledger.Ledger()
    for _ in range(sent):
        part.second(number).leave(lag_ms=0.1)
        part.second(number).end(None)
    return {"number": number, "at_s": number + 1.0, "cpu_s": cpu_s, "over": over, "filed": part.take()}


def two_workers() -> object:
    schedule = constant(20, 4)
    timeline = ledger.Timeline(ramp_s=0.0, end_s=4.0)
    return test_run.TestRun(schedule=schedule, timeline=timeline, ramp_s=0.0, timeout_s=10.0, workers=["a", "b"])


def test_closed_seconds_keep_counts_and_drop_distributions() -> None:
    """A response that arrives after its second was closed still counts."""
    schedule, timeline = constant(10, 100), ledger.Timeline(ramp_s=5.0, end_s=100.0)
    test = test_run.TestRun(schedule=schedule, timeline=timeline, ramp_s=5.0, timeout_s=2.0, workers=["a"])
    for number in range(-5, 94):
        test.add_report("a", report(number))
        assert len(test._ledger.seconds) < 8
    test.add_report("a", report(0, sent=1) | {"number": 94, "over": True})
    result = test.result()
    assert result["requests"] == 94 * 10 + 1
    assert [second["at_s"] for second in result["seconds"]] == list(range(1, 101))
    assert [second["achieved_rps"] for second in result["seconds"][:-1]] == [10] * 99


def test_sample_waits_for_all_workers_up_to_a_limit() -> None:
    test = two_workers()
    test.add_report("a", report(0))
    test.update_samples(at_s=1.1)
    assert not test.samples
    test.add_report("b", report(0))
    test.update_samples(at_s=1.2)
    assert [sample["achieved_rps"] for sample in test.samples] == [20]
    test.add_report("a", report(1))
    test.update_samples(at_s=2.0 + test_run.PATIENCE_S + 0.1)
    assert [sample["achieved_rps"] for sample in test.samples] == [20, 10]
    for worker, number in (("b", 1), ("a", 2), ("b", 2)):  # the first of them is late
        test.add_report(worker, report(number))
    test.update_samples(at_s=3.1)
    assert [sample["requests"] for sample in test.samples] == [20, 30, 60]


def test_lost_worker_is_reported_and_not_waited_for() -> None:
    """Its earlier reports count."""
    test = two_workers()
    for worker in ("a", "b"):
        test.add_report(worker, report(0))
    test.drop_worker("b")
    for number in (1, 2, 3):
        assert not test.over
        test.add_report("a", report(number, over=number == 3))
    assert test.over
    result = test.result()
    assert (result["requests"], result["lost_at_s"]) == (50, [1.0])
    assert (result["asked_rps"], result["achieved_rps"]) == (20, 12.5)


def test_busiest_stretch_of_a_worker_is_reported() -> None:
    test = two_workers()
    for number, cpu_s in enumerate([0.1, 0.2, 1.2, 2.2, 3.2, 3.3]):
        test.add_report("a", report(number, cpu_s=cpu_s))
    assert test.result()["busiest_percent"] == pytest.approx(100)


def test_stopped_test_is_judged_up_to_the_stop() -> None:
    test = two_workers()
    for worker in ("a", "b"):
        test.add_report(worker, report(0))
    test.stop(at_s=1.0)
    test.stop(at_s=3.0)
    test.update_samples(at_s=9.0)
    result = test.result()
    assert (result["duration_s"], result["asked_rps"], result["achieved_rps"]) == (1.0, 20, 20)
    assert result["stopped_at_s"] == 1.0
    assert len(test.samples) == 1


def response(body: object, status: int = 200) -> object:
    return http_responses.Response(status, json.dumps(body).encode(), True)


def test_response_of_the_same_shape_is_correct_with_any_values() -> None:
    right = response({"predictions": [{"label": "a", "scores": [0.1, 0.9]}]})
    check = http_responses.ResponseCheck(predicts=True, expected=right.body)
    assert check.failure(right) is None
    assert check.failure(response({"predictions": [{"label": "b", "scores": [0.9, 0.1]}]})) is None
    assert check.failure(response({"predictions": [{"label": "b"}]})) == http_responses.OTHER_PREDICTIONS
    assert check.failure(response({"predictions": []})) == http_responses.OTHER_PREDICTIONS
    assert check.failure(response({"predictions": [[1.0]]})) == http_responses.OTHER_PREDICTIONS
    assert check.failure(response({"error": "what?"})) == http_responses.NO_PREDICTIONS
    assert check.failure(response({"predictions": [{"label": "a", "scores": [1]}]}, status=302)) == "HTTP 302"


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_prediction_that_is_not_finite_is_a_failure(token: str) -> None:
    """TensorFlow Serving answers with status 200."""
    check = http_responses.ResponseCheck(predicts=True, expected=b'{"predictions": [[1.0]]}')
    body = f'{{"predictions": [[{token}]]}}'.encode()
    for _ in range(2):
        assert check.failure(http_responses.Response(200, body, True)) == http_responses.NOT_FINITE
    assert check.failure(response({"predictions": [[2.0]]})) is None


def test_first_predictions_are_the_reference_without_an_expected_response() -> None:
    check = http_responses.ResponseCheck(predicts=True)
    assert check.failure(response(["what?"])) == http_responses.NO_PREDICTIONS
    assert check.failure(response({"predictions": [[1.0, 2.0]]})) is None
    assert check.failure(response({"predictions": [[1.0]]})) == http_responses.OTHER_PREDICTIONS


def test_any_success_is_correct_for_a_target_without_predictions() -> None:
    check = http_responses.ResponseCheck(predicts=False)
    assert check.failure(http_responses.Response(204, b"", True)) is None
    assert check.failure(http_responses.Response(404, b"", True)) == "HTTP 404"


def test_responses_are_read_in_any_pieces() -> None:
    """Byte by byte, in chunks, two at once, or up to the end of the connection."""
    reader = http_responses.ResponseReader()
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    found = [each for byte in plain for each in reader.feed(bytes([byte]))] + reader.feed(plain + chunked)
    assert [(each.status, each.body) for each in found] == [(200, b"hello")] * 3
    assert [each.reusable for each in found] == [True, True, False]
    endless = http_responses.ResponseReader()
    assert endless.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") == []
    assert endless.feed(b"lo") == [] and endless.begun
    assert endless.end() == http_responses.Response(200, b"hello", False)
    hinted = http_responses.ResponseReader()
    assert [each.status for each in hinted.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" + plain)] == [200]
    cut = http_responses.ResponseReader()
    cut.feed(plain[:-1])
    assert cut.end() is None and cut.begun


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Odd: \xfc\x01\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["bare line feeds", "a length beside chunks", "odd bytes in a value"],
)
def test_lenient_responses_are_accepted(data: bytes) -> None:
    """The client of the one request before the test accepts them: the load must not be stricter."""
    assert http_responses.ResponseReader().feed(data) == [http_responses.Response(200, b"hello", True)]


def test_unrequested_protocol_switch_fails_the_request() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    (switch,) = http_responses.ResponseReader().feed(upgrade)
    assert switch == http_responses.Response(101, b"", False)
    assert http_responses.ResponseCheck(predicts=False).failure(switch) == "HTTP 101"
