"""Charts of a load test for Slack to draw. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block. Slack accepts two such blocks in a
message (https://github.com/vercel/chat/pull/696).
"""

from collections.abc import Mapping, Sequence

from bot.blocks import Block
from workers.contract.formatting import show_duration
from workers.contract.jobs import Tested

MOST_POINTS = 20
_FEWEST_POINTS = 2


def charts(tested: Tested) -> list[Block]:
    """Return charts of rates and latencies over time. A chart with fewer than two points is left out."""
    samples = tested.timeline
    rates = {"asked": [one.asked_rps for one in samples], "achieved": [one.achieved_rps for one in samples]}
    if any(one.failures_per_s for one in samples):
        rates["failed"] = [one.failures_per_s for one in samples]
    # Every series needs a value at every point, so seconds without an answer are left out.
    answered = [one for one in samples if None not in (one.p50_ms, one.p95_ms, one.p99_ms)]
    latencies = {
        "p50": [one.p50_ms or 0.0 for one in answered],
        "p95": [one.p95_ms or 0.0 for one in answered],
        "p99": [one.p99_ms or 0.0 for one in answered],
    }
    blocks = (
        _line_chart("Requests", "per second", [one.at_s for one in samples], rates),
        _line_chart("Latency", "milliseconds", [one.at_s for one in answered], latencies),
    )
    return [block for block in blocks if block]


def _line_chart(title: str, unit: str, at_s: Sequence[float], series: Mapping[str, Sequence[float]]) -> Block | None:
    """Return a line chart, or None for fewer than two points. Slack requires unique labels."""
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
