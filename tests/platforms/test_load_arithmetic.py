"""The pure half of a load test: the schedule, what is filed by the second, what makes an answer right."""

import importlib
import json
import sys
from itertools import pairwise
from random import Random
from statistics import mean, pstdev
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.platforms.traffic_plan import LOCUST_DIR


def beside_the_locustfile(name: str) -> ModuleType:
    """A pure module of the folder locust/, which is no package."""
    sys.path.insert(0, str(LOCUST_DIR))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(LOCUST_DIR))


arrivals = beside_the_locustfile("arrivals")
ledger = beside_the_locustfile("ledger")
http_responses = beside_the_locustfile("http_responses")
test_run = beside_the_locustfile("test_run")

rates = st.floats(min_value=0.0, max_value=10_000)
lengths = st.floats(min_value=0.5, max_value=3600)
stages = st.lists(st.builds(arrivals.Stage, from_rps=rates, to_rps=rates, length_s=lengths), min_size=1, max_size=5)


def constant(rate_rps: float, length_s: float) -> object:
    return arrivals.ArrivalSchedule([arrivals.Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=length_s)])


def all_of(worker: object) -> list[float]:
    """When every request of a worker is due, from now on."""
    due_s = []
    while worker.next_s != arrivals.NEVER:
        due_s.append(worker.next_s)
        worker.advance()
    return due_s


@given(stages=stages, share=st.floats(min_value=0, max_value=1))
def test_requests_are_due_when_the_rate_asks_for_them(stages: list, share: float) -> None:
    """When request n is due, n requests have been asked for, whatever the rate does meanwhile."""
    schedule = arrivals.ArrivalSchedule(stages)
    asked = share * schedule.total
    at_s = schedule.when(asked)
    assert 0 <= at_s <= schedule.end_s
    assert schedule.asked_by(at_s) == pytest.approx(asked, rel=1e-6, abs=1e-3)
    assert schedule.asked_by(schedule.end_s) == schedule.total


@given(
    rate_rps=st.floats(min_value=0.001, max_value=300),
    ramp_s=st.floats(min_value=0.1, max_value=3),
    workers=st.integers(min_value=1, max_value=7),
    poisson=st.booleans(),
    seed=st.integers(),
)
def test_workers_together_send_what_is_asked(
    rate_rps: float, ramp_s: float, workers: int, poisson: bool, seed: int
) -> None:
    """Their requests are in order, within the test, and as many as its rate asks for, rounded; one at least."""
    ramp = arrivals.Stage(from_rps=0, to_rps=rate_rps, length_s=ramp_s)
    schedule = arrivals.ArrivalSchedule([ramp, arrivals.Stage(from_rps=rate_rps, to_rps=rate_rps, length_s=2)])
    due_s = []
    for index in range(workers):
        part = arrivals.Arrivals(schedule, index=index, workers=workers, poisson=poisson, random=Random(seed + index))
        part.take(1 / workers, at_s=0)
        due_s.append(all_of(part))
        assert due_s[-1] == sorted(due_s[-1])
        assert all(0 <= each <= schedule.end_s for each in due_s[-1])
    assert sum(map(len, due_s)) == pytest.approx(max(schedule.total, 1), abs=0.5 + 1e-5)


def test_two_workers_take_turns() -> None:
    """Evenly spaced requests stay so when they come from several workers."""
    parts = [arrivals.Arrivals(constant(100, 1), index=index, workers=2) for index in (0, 1)]
    for part in parts:
        part.take(0.5, at_s=0)
    due_s = sorted(each for part in parts for each in all_of(part))
    assert due_s == pytest.approx([(number + 0.5) / 100 for number in range(100)])


def test_a_share_that_changes_keeps_the_total() -> None:
    """One worker's rate is taken over by the other in mid-test: only what fell due in between is missing."""
    schedule = constant(100, 10)
    part = arrivals.Arrivals(schedule, index=0, workers=2)
    part.take(0.5, at_s=0)
    due_s = []
    while part.next_s < 4:
        due_s.append(part.next_s)
        part.advance()
    assert len(due_s) == 200
    part.take(1.0, at_s=4)
    rest_s = all_of(part)
    assert len(rest_s) == 600
    assert [later - earlier for earlier, later in pairwise(rest_s)] == pytest.approx([0.01] * 599)
    part.take(0.0, at_s=10)
    assert part.next_s == arrivals.NEVER


def test_poisson_arrivals_come_by_chance() -> None:
    """The gaps are as irregular as independent people's: their standard deviation is their mean."""
    part = arrivals.Arrivals(constant(1000, 10), poisson=True, random=Random(1))
    part.take(1.0, at_s=0)
    due_s = all_of(part)
    gaps_s = [later - earlier for earlier, later in pairwise(due_s)]
    assert len(due_s) == 10_000
    assert pstdev(gaps_s) == pytest.approx(mean(gaps_s), rel=0.05)


def test_workers_ledgers_merge_exactly() -> None:
    """What two workers took out of their ledgers adds up in the master's, and is taken once."""
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
def test_percentiles_are_nearest_ranks(percentile: float, expected: float) -> None:
    """A percentile is a latency that was measured: the least that so many per cent did not exceed."""
    counts = {9.0: 1, 1.0: 499, 2.0: 100, 3.0: 400}
    assert ledger.percentile_ms(counts, percentile) == expected
    assert ledger.percentile_ms({}, percentile) is None


def test_seconds_are_counted_from_the_ramps_end() -> None:
    """The ramp's are negative, the first and the last may be short, and the end belongs to the last."""
    seconds = ledger.Seconds(ramp_s=1.5, end_s=4.0)
    assert (seconds.first, seconds.last) == (-2, 2)
    assert [seconds.number(at_s) for at_s in (0, 0.6, 1.5, 3.9, 4.0)] == [-2, -1, 0, 2, 2]
    assert [seconds.bounds_s(number) for number in (-2, 0, 2)] == [(0.0, 0.5), (1.5, 2.5), (3.5, 4.0)]


def report(number: int, *, over: bool = False, sent: int = 10, cpu_s: float = 0.0) -> dict:
    """A worker's report of a second."""
    part = ledger.Ledger()
    for _ in range(sent):
        part.second(number).leave(lag_ms=0.1)
        part.second(number).end(None)
    return {"number": number, "at_s": number + 1.0, "cpu_s": cpu_s, "over": over, "filed": part.take()}


def two_workers() -> object:
    schedule = constant(20, 4)
    seconds = ledger.Seconds(ramp_s=0.0, end_s=4.0)
    return test_run.TestRun(schedule=schedule, seconds=seconds, ramp_s=0.0, timeout_s=10.0, workers=["a", "b"])


def test_a_long_test_keeps_its_numbers_and_not_its_distributions() -> None:
    """Seconds whose every request has ended are made up; an answer that comes late all the same is counted."""
    schedule, seconds = constant(10, 100), ledger.Seconds(ramp_s=5.0, end_s=100.0)
    test = test_run.TestRun(schedule=schedule, seconds=seconds, ramp_s=5.0, timeout_s=2.0, workers=["a"])
    for number in range(-5, 94):
        test.hear("a", report(number))
        assert len(test._ledger.seconds) < 8
    test.hear("a", report(0, sent=1) | {"number": 94, "over": True})
    told = test.result()
    assert told["requests"] == 94 * 10 + 1
    assert [second["at_s"] for second in told["seconds"]] == list(range(1, 101))
    assert [second["achieved_rps"] for second in told["seconds"][:-1]] == [10] * 99


def test_a_second_is_told_when_all_workers_have_reported_it() -> None:
    """It waits for the slower one, though not for long: then it is told as it is."""
    test = two_workers()
    test.hear("a", report(0))
    test.settle(at_s=1.1)
    assert not test.samples
    test.hear("b", report(0))
    test.settle(at_s=1.2)
    assert [sample["achieved_rps"] for sample in test.samples] == [20]
    test.hear("a", report(1))
    test.settle(at_s=2.0 + test_run.PATIENCE_S + 0.1)
    assert [sample["achieved_rps"] for sample in test.samples] == [20, 10]


def test_a_lost_worker_is_told_of_and_not_waited_for() -> None:
    """What it had reported counts; whether the test is over is the others' matter."""
    test = two_workers()
    for worker in ("a", "b"):
        test.hear(worker, report(0))
    test.lose("b")
    for number in (1, 2, 3):
        assert not test.over
        test.hear("a", report(number, over=number == 3))
    assert test.over
    told = test.result()
    assert (told["requests"], told["lost_at_s"]) == (50, [1.0])
    assert (told["asked_rps"], told["achieved_rps"]) == (20, 12.5)


def test_the_busiest_stretch_of_a_worker_is_told() -> None:
    """Not its mean: three seconds at full speed are enough to measure itself."""
    test = two_workers()
    for number, cpu_s in enumerate([0.1, 0.2, 1.2, 2.2, 3.2, 3.3]):
        test.hear("a", report(number, cpu_s=cpu_s))
    assert test.result()["busiest_percent"] == pytest.approx(100)


def test_a_stopped_test_is_judged_until_then() -> None:
    """Asked and achieved are means up to the stop, and no second after it is told."""
    test = two_workers()
    for worker in ("a", "b"):
        test.hear(worker, report(0))
    test.stop(at_s=1.0)
    test.stop(at_s=3.0)
    test.settle(at_s=9.0)
    told = test.result()
    assert (told["duration_s"], told["asked_rps"], told["achieved_rps"]) == (1.0, 20, 20)
    assert told["stopped_at_s"] == 1.0
    assert len(test.samples) == 1


def said(body: object, status: int = 200) -> object:
    return http_responses.Response(status, json.dumps(body).encode(), True)


def test_other_values_are_right_and_other_shapes_are_not() -> None:
    """As many predictions with the same keys; their values are the model's business."""
    right = said({"predictions": [{"label": "a", "scores": [0.1, 0.9]}]})
    judge = http_responses.ResponseCheck(predicts=True, expected=right.body)
    assert judge.failure(right) is None
    assert judge.failure(said({"predictions": [{"label": "b", "scores": [0.9, 0.1]}]})) is None
    assert judge.failure(said({"predictions": [{"label": "b"}]})) == http_responses.OTHER_PREDICTIONS
    assert judge.failure(said({"predictions": []})) == http_responses.OTHER_PREDICTIONS
    assert judge.failure(said({"predictions": [[1.0]]})) == http_responses.OTHER_PREDICTIONS
    assert judge.failure(said({"error": "what?"})) == http_responses.NO_PREDICTIONS
    assert judge.failure(said({"predictions": [{"label": "a", "scores": [1]}]}, status=302)) == "HTTP 302"


def test_the_first_answer_is_right_where_none_is_known() -> None:
    """The others are compared with it."""
    judge = http_responses.ResponseCheck(predicts=True)
    assert judge.failure(said(["what?"])) == http_responses.NO_PREDICTIONS
    assert judge.failure(said({"predictions": [[1.0, 2.0]]})) is None
    assert judge.failure(said({"predictions": [[1.0]]})) == http_responses.OTHER_PREDICTIONS


def test_where_no_predictions_are_wanted_any_success_will_do() -> None:
    """Other targets answer as they like."""
    judge = http_responses.ResponseCheck(predicts=False)
    assert judge.failure(http_responses.Response(204, b"", True)) is None
    assert judge.failure(http_responses.Response(404, b"", True)) == "HTTP 404"


def test_answers_are_read_whatever_pieces_they_come_in() -> None:
    """Byte for byte, in chunks, two at once, or up to the connection's end."""
    reader = http_responses.ResponseReader()
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    found = [answer for byte in plain for answer in reader.feed(bytes([byte]))] + reader.feed(plain + chunked)
    assert [(answer.status, answer.body) for answer in found] == [(200, b"hello")] * 3
    assert [answer.reusable for answer in found] == [True, True, False]
    endless = http_responses.ResponseReader()
    assert endless.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") == []
    assert endless.feed(b"lo") == [] and endless.begun
    assert endless.end() == http_responses.Response(200, b"hello", False)
    hinted = http_responses.ResponseReader()
    assert [answer.status for answer in hinted.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" + plain)] == [200]
    cut = http_responses.ResponseReader()
    cut.feed(plain[:-1])
    assert cut.end() is None and cut.begun


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Odd: \xfc\x01\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["bare line feeds", "a length beside chunks", "odd bytes in a value"],
)
def test_answers_that_every_client_takes_are_taken(said: bytes) -> None:
    """The one request before the test was answered alike: the load must not be stricter."""
    assert http_responses.ResponseReader().feed(said) == [http_responses.Response(200, b"hello", True)]


def test_a_switch_to_another_protocol_is_an_answer() -> None:
    """Nobody asked for it: it fails the request at once, and the connection is of no more use."""
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    (answer,) = http_responses.ResponseReader().feed(upgrade)
    assert answer == http_responses.Response(101, b"", False)
    assert http_responses.ResponseCheck(predicts=False).failure(answer) == "HTTP 101"
