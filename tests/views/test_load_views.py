"""Load tests beside their cards: charts that Slack draws, two reports side by side, and what a dry run says."""

from dataclasses import replace

import pytest

from bot.cards import find_capacity, load_test
from bot.cards.load_charts import charts
from bot.cards.number_format import latency
from bot.local_slack.limits import check_message
from bot.views import replies
from bot.views.load_comparison import load_comparison
from workers.contract.events import Measured
from workers.contract.formatting import show_count
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
    """A report whose timeline has `count` points; nothing answers from point `silent_from` on."""
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
def test_a_timeline_becomes_charts_that_slack_takes(count: int, every_s: float) -> None:
    """Rates and latencies, each series with one value at each of at most twenty places, whose names differ."""
    blocks = charts(timeline(count, every_s=every_s))
    check_message(text="charts", blocks=blocks)
    assert [block["title"] for block in blocks] == ["Requests", "Latency"]
    for block in blocks:
        places = block["chart"]["axis_config"]["categories"]
        assert 2 <= len(places) == len(set(places)) <= 20
        for series in block["chart"]["series"]:
            assert [point["label"] for point in series["data"]] == places


def test_failures_are_drawn_where_there_are_some() -> None:
    """No line along the ground says that all went well."""
    for rate, names in ((0.0, ["asked", "achieved"]), (4.0, ["asked", "achieved", "failed"])):
        rates = charts(timeline(5, failures_per_s=rate))[0]
        assert [series["name"] for series in rates["chart"]["series"]] == names


def test_a_second_without_an_answer_has_no_latency() -> None:
    """It is left out of the latencies, not drawn as nothing at all taking no time."""
    rates, latencies = charts(timeline(6, silent_from=3))
    assert [len(block["chart"]["axis_config"]["categories"]) for block in (rates, latencies)] == [6, 3]
    assert [block["title"] for block in charts(timeline(6, silent_from=1))] == ["Requests"]


def test_where_there_is_no_line_there_is_no_chart() -> None:
    """One point is none, and no point neither."""
    assert charts(timeline(1)) == charts(timeline(0)) == []


def test_two_reports_stand_side_by_side() -> None:
    """Verdicts, rates, shares, percentiles and replicas in columns, with their change; a lacking figure is a dash."""
    asked = Asked(by="U0ADA", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    first, second = (Record(id=number, job=STEPS, asked=asked) for number in ("41", "42"))
    shown = load_comparison(first, second, PASSED, FAILED)
    check_message(text=shown.text, blocks=list(shown.blocks))
    texts = [block["text"]["text"] if "text" in block else block["elements"][0]["text"] for block in shown.blocks]
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
    assert "compare with care" in str(load_comparison(first, other, PASSED, PASSED).blocks)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (
            STEPS,
            ["up to 500 rps for 50 s and 10 s of ramp against docs, 15,500 requests in all", "docs belongs to @search"],
        ),
        (SEARCH, ["up to 12 rates of 20 s each against iris on staging, the highest 9,000 rps, 4 m at the most"]),
    ],
)
def test_a_dry_run_says_how_much_load_it_would_be(job: LoadTest | FindCapacity, said: list[str]) -> None:
    """Requests, the highest rate, how long, whose target, and who would have to approve."""
    asked = str(replies.dry_run(job, Approvals(count=2, from_=("@ml-leads",))).blocks)
    for words in (*said, "2 approvals from @ml-leads"):
        assert words in asked
    assert "It needs no approval" in str(replies.dry_run(job, None).blocks)


def test_one_of_a_thing_is_told_in_the_singular() -> None:
    """A test of one request is asked for, watched and drawn as such."""
    assert [show_count(count, "request") for count in (0, 1, 1_234)] == ["0 requests", "1 request", "1,234 requests"]
    lone = replace(STEPS, shape=Shape(lowest_rps=1.0, highest_rps=1.0), duration_s=1.0, ramp_s=0.0)
    assert load_test.amount(lone).endswith("1 request in all")
    sample = Sample(at_s=1.0, asked_rps=1.0, achieved_rps=1.0, failures_per_s=0.0, p50_ms=None, p95_ms=None, requests=1)
    assert "0 of 1 request'" in str(load_test.live(Measured(at_s=0.0, sample=sample), grown=""))


@pytest.mark.parametrize(
    ("before", "most", "scaled_s", "settled_s", "said"),
    [
        (4, 4, None, None, "4, no change"),
        (1, 4, 7.0, 7.0, "1 → 4\nchanged after 7 s"),
        (1, 4, 7.0, 1834.2, "1 → 4\nchanged after 7 s, settled after 30 m 34 s"),
        (4, 4, 30.0, 60.0, "4 at the most\nchanged after 30 s, settled after 1 m"),
    ],
)
def test_replicas_that_went_are_told_from_replicas_that_stayed(
    before: int, most: int, scaled_s: float | None, settled_s: float | None, said: str
) -> None:
    """The numbers at the start and at the most are the same in both; times are read as all others are."""
    tested = replace(
        PASSED, replicas_before=before, replicas_most=most, scaled_after_s=scaled_s, settled_after_s=settled_s
    )
    assert f"*Replicas*\n{said}" in [
        field["text"] for block in load_test.blocks(tested) for field in block.get("fields", ())
    ]


def test_no_failure_is_left_out_without_a_word() -> None:
    """There is room for five kinds; the others are counted together."""
    kinds = {f"HTTP {500 + place}": 10 - place for place in range(7)}
    shown = str(load_test.blocks(replace(PASSED, failures=49, failures_by_kind=kinds)))
    assert "6 × HTTP 504" in shown
    assert "9 × other kinds" in shown
    assert "HTTP 505" not in shown
    assert "other kinds" not in str(load_test.blocks(PASSED))


def test_a_line_of_latencies_ends_between_two_of_them() -> None:
    """On a phone, "p99" at the end of a line and "4.3 ms" on the next one are hard to read."""
    assert latency({50.0: 2.0, 99.0: 4.3}).split(" ") == ["p50\u00a02\u00a0ms", "·", "p99\u00a04.3\u00a0ms"]


def test_rates_that_were_tried_fit_a_phone() -> None:
    """A phone breaks longer lines, and what stood in columns is read no more."""
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
