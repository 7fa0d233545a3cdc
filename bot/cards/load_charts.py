"""A load test's report as charts that Slack draws itself. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block; Slack takes two such blocks a
message (https://github.com/vercel/chat/pull/696).
"""

from collections.abc import Mapping, Sequence

from bot.blocks import Block
from workers.contract.formatting import show_duration
from workers.contract.jobs import Tested

MOST_POINTS = 20
_FEWEST_POINTS = 2


def charts(tested: Tested) -> list[Block]:
    """Rates and latencies over the test's time; none where there is too little to draw."""
    points = tested.timeline
    rates = {"asked": [point.asked_rps for point in points], "achieved": [point.achieved_rps for point in points]}
    if any(point.failures_per_s for point in points):
        rates["failed"] = [point.failures_per_s for point in points]
    # Every series must have a value at every point, and where nothing answered there is no latency.
    answered = [point for point in points if None not in (point.p50_ms, point.p95_ms, point.p99_ms)]
    latencies = {
        "p50": [point.p50_ms or 0.0 for point in answered],
        "p95": [point.p95_ms or 0.0 for point in answered],
        "p99": [point.p99_ms or 0.0 for point in answered],
    }
    drawn = (
        _line("Requests", "per second", [point.at_s for point in points], rates),
        _line("Latency", "milliseconds", [point.at_s for point in answered], latencies),
    )
    return [block for block in drawn if block]


def _line(title: str, unit: str, at_s: Sequence[float], series: Mapping[str, Sequence[float]]) -> Block | None:
    """A line chart; None for fewer than two points, which make no line. Labels are unique, as Slack wants them."""
    places = {show_duration(second): place for place, second in enumerate(at_s[:MOST_POINTS])}
    if len(places) < _FEWEST_POINTS:
        return None
    lines = [
        {"name": name, "data": [{"label": label, "value": round(values[place], 2)} for label, place in places.items()]}
        for name, values in series.items()
    ]
    axes = {"categories": list(places), "x_label": "since the start", "y_label": unit}
    chart = {"type": "line", "series": lines, "axis_config": axes}
    return {"type": "data_visualization", "title": title, "chart": chart}
