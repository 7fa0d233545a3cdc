"""Charts, comparisons and dry runs of load tests, and details of their cards."""

from dataclasses import replace

import pytest

from bot.cards import find_capacity, load_test
from bot.cards.number_format import latency
from bot.local_slack.limits import check_message
from bot.views import replies
from workers.contract.events import Measured
from workers.contract.jobs import Asked, CapacityFound, FindCapacity, LoadTest, Probe, Tested
from workers.contract.load import Sample, Shape, Slo
from workers.contract.record import Record
from workers.contract.settings import Approvals

STEPS = LoadTest(
    model="",
    environment="docs",
    shape=Shape(kind="steps", lowest_rps=100.0, highest_rps=500.0),
    duration_s=50.0,
    ramp_s=10.0,
    slo=Slo(errors_percent=1.0),
    owner="@search",
)
SEARCH = FindCapacity(
    model="iris", environment="staging", lowest_rps=1.0, highest_rps=9000.0, probe_s=20.0, slo=Slo(errors_percent=1.0)
)
PASSED = Tested(
    verdict="PASS",
    reasons=(),
    asked_rps=300.0,
    achieved_rps=299.9,
    requests=15_000,
    failures=3,
    failures_by_kind={"timeout": 3},
    latency_ms={50.0: 2.0, 95.0: 10.0, 100.0: 90.0},
    replicas_before=1,
    replicas_most=1,
    scaled_after_s=None,
)
FAILED = Tested(
    verdict="FAIL",
    reasons=("p95 was 12.5 ms, wanted below 11 ms.",),
    asked_rps=300.0,
    achieved_rps=240.0,
    requests=15_000,
    failures=1500,
    failures_by_kind={"not sent: too many requests were under way": 1500},
    latency_ms={50.0: 2.0, 95.0: 12.5, 99.0: 40.0, 100.0: 45.0},
    replicas_before=1,
    replicas_most=4,
    scaled_after_s=9.0,
    dropped=1500,
)


def timeline(count: int, *, every_s: float = 3.0, failures_per_s: float = 0.0, silent_from: int = 99) -> Tested:
    """Return a report with `count` samples, without an answer from sample `silent_from` on."""
    points = [
        Sample(
            at_s=every_s * place,
            asked_rps=100.0,
            achieved_rps=99.123456,
            failures_per_s=failures_per_s,
            p50_ms=None if place >= silent_from else 1.5,
            p95_ms=None if place >= silent_from else 9.0,
            p99_ms=None if place >= silent_from else 20.0,
        )
        for place in range(count)
    ]
    return Tested(
        verdict="PASS",
        reasons=(),
        asked_rps=100.0,
        achieved_rps=99.0,
        requests=1,
        failures=0,
        failures_by_kind={},
        latency_ms={},
        replicas_before=1,
        replicas_most=1,
        scaled_after_s=None,
        timeline=tuple(points),
    )


@pytest.mark.parametrize("every_s", [0.4, 3.0, 189.5])
@pytest.mark.parametrize("count", [2, 20, 25])
def test_timeline_becomes_charts_that_slack_accepts(count: int, every_s: float) -> None:
    """Each series has a value at each of at most twenty points with unique labels."""
    blocks = load_test.CARD.charts(timeline(count, every_s=every_s))
    check_message(text="charts", blocks=blocks)
    assert [block["title"] for block in blocks] == ["Requests", "Latency"]
    for block in blocks:
        labels = block["chart"]["axis_config"]["categories"]
        assert 2 <= len(labels) == len(set(labels)) <= 20
        for series in block["chart"]["series"]:
            assert [point["label"] for point in series["data"]] == labels


def test_chart_has_failures_only_if_there_are_some() -> None:
    for rate, names in ((0.0, ["asked", "achieved"]), (4.0, ["asked", "achieved", "failed"])):
        rates = load_test.CARD.charts(timeline(5, failures_per_s=rate))[0]
        assert [series["name"] for series in rates["chart"]["series"]] == names


def test_chart_of_latencies_leaves_out_seconds_without_an_answer() -> None:
    rates, latencies = load_test.CARD.charts(timeline(6, silent_from=3))
    assert [len(block["chart"]["axis_config"]["categories"]) for block in (rates, latencies)] == [6, 3]


def test_chart_with_one_point_is_left_out() -> None:
    assert [block["title"] for block in load_test.CARD.charts(timeline(6, silent_from=1))] == ["Requests"]
    assert load_test.CARD.charts(timeline(1)) == load_test.CARD.charts(timeline(0)) == []


def test_comparison_shows_two_reports_and_their_change() -> None:
    """A missing number is a dash."""
    asked = Asked(by="U0ADA", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    first, second = (Record(id=number, job=STEPS, asked=asked) for number in ("41", "42"))
    comparison = replies.load_comparison(first, second, PASSED, FAILED)
    check_message(text=comparison.text, blocks=list(comparison.blocks))
    texts = [block["text"]["text"] if "text" in block else block["elements"][0]["text"] for block in comparison.blocks]
    lines = [line.split() for line in next(text for text in texts if text.startswith("```")).strip("`\n").splitlines()]
    assert lines == [
        ["#41", "#42", "change"],
        ["verdict", "PASS", "FAIL"],
        ["asked", "rps", "300", "300", "±0", "%"],
        ["achieved", "300", "240", "−20", "%"],
        ["requests", "15,000", "15,000", "±0", "%"],
        ["failed", "0.02", "%", "10", "%", "+9.98", "pp"],
        ["dropped", "0", "1,500", "–"],
        ["p50", "2", "ms", "2", "ms", "±0", "%"],
        ["p95", "10", "ms", "12.5", "ms", "+25", "%"],
        ["p99", "–", "40", "ms", "–"],
        ["max", "90", "ms", "45", "ms", "−50", "%"],
        ["replicas", "1", "1", "→", "4"],
    ]
    assert texts[-1].startswith("#42 FAIL: p95 was 12.5 ms")
    assert not any("compare with care" in text for text in texts)
    other = Record(id="43", job=SEARCH, asked=asked)
    assert "compare with care" in str(replies.load_comparison(first, other, PASSED, PASSED).blocks)


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        (
            STEPS,
            ["up to 500 rps for 50 s and 10 s of ramp against docs, 15,500 requests in all", "docs belongs to @search"],
        ),
        (SEARCH, ["up to 12 rates of 20 s each against iris on staging, the highest 9,000 rps, at most 4 m"]),
    ],
)
def test_dry_run_shows_load_owner_and_approvals(job: LoadTest | FindCapacity, facts: list[str]) -> None:
    answer = str(replies.dry_run(job, Approvals(count=2, from_=("@ml-leads",))).blocks)
    for text in (*facts, "2 approvals from @ml-leads"):
        assert text in answer
    assert "It needs no approval" in str(replies.dry_run(job, None).blocks)


def test_one_request_is_shown_in_the_singular() -> None:
    single = replace(STEPS, shape=Shape(lowest_rps=1.0, highest_rps=1.0), duration_s=1.0, ramp_s=0.0)
    assert load_test.CARD.approval_facts(single).endswith("1 request in all")
    sample = Sample(at_s=1.0, asked_rps=1.0, achieved_rps=1.0, failures_per_s=0.0, p50_ms=None, p95_ms=None, requests=1)
    asked = Asked(by="U0ADA", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    measured = Measured(at_s=0.0, sample=sample)
    record = Record(id="1", job=single, asked=asked, state="running", measured=measured)
    assert "0 of 1 request'" in str(load_test.CARD.live(record))


@pytest.mark.parametrize(
    ("before", "most", "scaled_s", "settled_s", "text"),
    [
        (4, 4, None, None, "4, no change"),
        (1, 4, 7.0, 7.0, "1 → 4\nchanged after 7 s"),
        (1, 4, 7.0, 1834.2, "1 → 4\nchanged after 7 s, settled after 30 m 34 s"),
        (4, 4, 30.0, 60.0, "4 at most\nchanged after 30 s, settled after 1 m"),
    ],
)
def test_report_shows_changed_replicas_even_if_the_maximum_did_not_change(
    before: int, most: int, scaled_s: float | None, settled_s: float | None, text: str
) -> None:
    tested = replace(
        PASSED, replicas_before=before, replicas_most=most, scaled_after_s=scaled_s, settled_after_s=settled_s
    )
    fields = [field["text"] for block in load_test.CARD.report(STEPS, tested) for field in block.get("fields", ())]
    assert f"*Replicas*\n{text}" in fields


def test_report_sums_up_failures_beyond_five_kinds() -> None:
    kinds = {f"HTTP {500 + place}": 10 - place for place in range(7)}
    report = str(load_test.CARD.report(STEPS, replace(PASSED, failures=49, failures_by_kind=kinds)))
    assert "6 × HTTP 504" in report
    assert "9 × other kinds" in report
    assert "HTTP 505" not in report
    assert "other kinds" not in str(load_test.CARD.report(STEPS, PASSED))


def test_line_of_latencies_breaks_only_between_two_of_them() -> None:
    assert latency({50.0: 2.0, 99.0: 4.3}).split(" ") == ["p50\u00a02\u00a0ms", "·", "p99\u00a04.3\u00a0ms"]


def test_table_of_probes_fits_a_phone() -> None:
    """A phone breaks longer lines, which destroys the columns."""
    probe = Probe(
        rate_rps=12_800.0,
        verdict="INVALID",
        reason="",
        latency_ms={95.0: 0.123, 99.0: 0.123},
        errors_percent=0.13,
        replicas=12,
    )
    found = CapacityFound(rate_rps=None, replicas=12, limit="", probes=(probe,))
    job = replace(SEARCH, slo=Slo(latency_ms=((95.0, 1.0), (99.0, 1.0))))
    for probes in ((probe,), (replace(probe, replicas=0),)):
        *_, table = find_capacity.CARD.report(job, replace(found, probes=probes))
        assert max(map(len, table["text"]["text"].splitlines())) <= 46
