"""The card of a load test, and its charts for Slack to draw. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block. Slack accepts two such blocks in a
message (https://github.com/vercel/chat/pull/696).
"""

from collections.abc import Mapping, Sequence

from bot.blocks import Block, context, escape, fields, section
from bot.cards.load import LoadCard
from bot.cards.number_format import change, latency, ms, replicas, whole_seconds
from workers.contract.formatting import show_count, show_duration, show_number, show_percentile, show_share
from workers.contract.jobs import EarlierRuns, LoadTest, Tested

_SIGNS = {"PASS": ":large_green_circle:", "FAIL": ":red_circle:", "INVALID": ":large_orange_circle:"}
_MOST_FAILURE_KINDS = 5
_COMPARED_PERCENTILES = (50.0, 95.0, 99.0)
_MOST_POINTS = 20
_FEWEST_POINTS = 2


class LoadTestCard(LoadCard[LoadTest, Tested]):
    """The verdict with its reasons and numbers, and charts in the thread."""

    def verdict(self, outcome: Tested) -> tuple[str, str]:
        return _SIGNS[outcome.verdict], outcome.verdict

    def approval_facts(self, job: LoadTest) -> str:
        requests = sum((stage.from_rps + stage.to_rps) / 2 * stage.length_s for stage in job.stages)
        ramp = f" and {show_duration(job.ramp_s)} of ramp" if job.ramp_s else ""
        highest = f"{'' if job.shape.kind == 'constant' else 'up to '}{show_number(job.load.rate_rps)} rps"
        total = show_count(round(requests), "request")
        return f"{highest} for {show_duration(job.duration_s)}{ramp} against {escape(job.place)}, {total} in all"

    def report(self, job: LoadTest, outcome: Tested) -> list[Block]:
        """See Card. A test that sent no request has its reasons only."""
        reasons = "\n".join(f"• {escape(reason)}" for reason in outcome.reasons)
        blocks = [section(reasons)] if reasons else []
        if not outcome.requests:
            return blocks
        blocks += [fields(_numbers(outcome)), section(f"*Latency*\n{latency(outcome.latency_ms) or 'no answer'}")]
        if outcome.earlier:
            blocks.append(section(_comparison(outcome, outcome.earlier)))
        if outcome.send_lag_ms and outcome.service_ms:
            # These two distinguish a slow generator from a slow target.
            lag, service = ms(outcome.send_lag_ms.get(99.0)), ms(outcome.service_ms.get(99.0))
            due = "Latency counts from when a request was due."
            blocks.append(context(f"{due} At p99, requests left {lag} late and took {service}."))
        return blocks

    def result(self, outcome: Tested) -> str:
        return outcome.verdict

    def reason(self, outcome: Tested) -> str:
        return next(iter(outcome.reasons), "")

    def charts(self, outcome: Tested) -> list[Block]:
        """Return charts of rates and latencies over time. A chart with fewer than two points is left out."""
        samples = outcome.timeline
        rates = {"asked": [one.asked_rps for one in samples], "achieved": [one.achieved_rps for one in samples]}
        if any(one.failures_per_s for one in samples):
            rates["failed"] = [one.failures_per_s for one in samples]
        # Every series needs a value at every point, so seconds without an answer are left out.
        answered = [one for one in samples if None not in (one.p50_ms, one.p95_ms, one.p99_ms)]
        latencies = {name: [getattr(one, f"{name}_ms") for one in answered] for name in ("p50", "p95", "p99")}
        return [
            *_line_chart("Requests", "per second", [one.at_s for one in samples], rates),
            *_line_chart("Latency", "milliseconds", [one.at_s for one in answered], latencies),
        ]


def _numbers(tested: Tested) -> list[str]:
    achieved = f"{tested.achieved_rps:,.1f}".removesuffix(".0")
    texts = [f"*Rate*\n{achieved} of {show_number(tested.asked_rps)} rps", _requests(tested)]
    if tested.replicas_most:
        texts.append(f"*Replicas*\n{replicas(tested.replicas_before, tested.replicas_most)}{_scaling(tested)}")
    if tested.aborted_after_s is not None:
        texts.append(f"*Ended early*\nafter {show_duration(tested.aborted_after_s)}")
    return texts


def _requests(tested: Tested) -> str:
    share = show_share(tested.failures, tested.requests)
    lines = [f"*Requests*\n{tested.requests:,}, {tested.failures:,} failed ({share})"]
    by_count = sorted(tested.failures_by_kind.items(), key=lambda kind: -kind[1])
    lines += [f"{count:,} × {escape(kind)}" for kind, count in by_count[:_MOST_FAILURE_KINDS]]
    if others := sum(count for _, count in by_count[_MOST_FAILURE_KINDS:]):
        lines.append(f"{others:,} × other kinds")
    return "\n".join(lines)


def _scaling(tested: Tested) -> str:
    if tested.scaled_after_s is None:
        return ", no change"
    most = " at most" if tested.replicas_most == tested.replicas_before else ""
    settled_s = tested.settled_after_s or 0.0
    settled = f", settled after {whole_seconds(settled_s)}" if settled_s > tested.scaled_after_s else ""
    return f"{most}\nchanged after {whole_seconds(tested.scaled_after_s)}{settled}"


def _comparison(tested: Tested, earlier: EarlierRuns) -> str:
    """Return the changes against the median of earlier runs."""
    runs = "one earlier run" if earlier.runs == 1 else f"the median of {earlier.runs} earlier runs"
    parts = [
        f"{show_percentile(key)} {change(before_ms, tested.latency_ms[key])} ({ms(before_ms)})"
        for key in _COMPARED_PERCENTILES
        if (before_ms := earlier.latency_ms.get(key)) is not None and key in tested.latency_ms
    ]
    parts.append(f"failed {show_share(tested.failures, tested.requests)} ({show_share(earlier.errors_percent, 100)})")
    last = f" · the last one was {earlier.verdict}" if earlier.verdict != tested.verdict else ""
    return f"*Against {runs}*\n{' · '.join(parts)}{last}"


def _line_chart(title: str, unit: str, at_s: Sequence[float], series: Mapping[str, Sequence[float]]) -> list[Block]:
    """Return a line chart, or no block for fewer than two points. Slack requires unique labels."""
    places = {show_duration(second): place for place, second in enumerate(at_s[:_MOST_POINTS])}
    if len(places) < _FEWEST_POINTS:
        return []
    lines = [
        {"name": name, "data": [{"label": label, "value": round(values[place], 2)} for label, place in places.items()]}
        for name, values in series.items()
    ]
    axes = {"categories": list(places), "x_label": "since the start", "y_label": unit}
    chart = {"type": "line", "series": lines, "axis_config": axes}
    return [{"type": "data_visualization", "title": title, "chart": chart}]


CARD = LoadTestCard()
