"""Limits of charts (data_visualization blocks) in the local Slack."""

from typing import Any

import pytest

from bot.local_slack.limits import check_message, check_view, texts_of
from bot.local_slack.refusal import SlackRefusal

LABELS = [f"{minute} m" for minute in range(20)]


def series(name: str = "p95", labels: list[str] = LABELS, value: Any = 12.5) -> dict[str, Any]:
    return {"name": name, "data": [{"label": label, "value": value} for label in labels]}


def on_axes(*drawn: Any, kind: str = "line", labels: list[str] = LABELS, **axes: Any) -> dict[str, Any]:
    return {"type": kind, "series": list(drawn), "axis_config": {"categories": labels, **axes}}


def pie(*values: float) -> dict[str, Any]:
    return {"type": "pie", "segments": [{"label": f"kind {index}", "value": one} for index, one in enumerate(values)]}


def block(chart: Any, title: str = "Latency", **more: Any) -> dict[str, Any]:
    return {"type": "data_visualization", "title": title, "chart": chart, **more}


AT_THE_LIMIT = {
    "twelve series of twenty points": [block(on_axes(*[series(f"p{index:02}" + "x" * 17) for index in range(12)]))],
    "long words": [block(on_axes(series(labels=["x" * 20]), labels=["x" * 20], y_label="x" * 50), title="x" * 50)],
    "points in another order": [block(on_axes(series(labels=LABELS[::-1]), kind="area"))],
    "negative values": [block(on_axes(series(value=-1), kind="bar"))],
    "a pie": [block(pie(0.5, *range(1, 12)), block_id="pie")],
    "two charts": [block(pie(1)), block(on_axes(series()))],
}


@pytest.mark.parametrize("blocks", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_chart_at_its_limits_is_accepted(blocks: list[dict[str, Any]]) -> None:
    check_message(text="fallback", blocks=blocks)


TOO_LONG = "x" * 21
REFUSED = {
    "long title": ([block(pie(1), title="x" * 51)], "/blocks/0/title"),
    "no title": ([{"type": "data_visualization", "chart": pie(1)}], "/blocks/0"),
    "no chart": ([{"type": "data_visualization", "title": "x"}], "/blocks/0"),
    "unknown kind": ([block({"type": "radar"})], "/blocks/0/chart/type"),
    "thirteen series": ([block(on_axes(*[series(str(index)) for index in range(13)]))], "/blocks/0/chart/series"),
    "no series": ([block(on_axes())], "/blocks/0/chart/series"),
    "a series twice": ([block(on_axes(series(), series()))], "/blocks/0/chart/series"),
    "21 points": ([block(on_axes(series(labels=[*LABELS, "x"]), labels=LABELS))], "/blocks/0/chart/series/0/data"),
    "long name": ([block(on_axes(series(TOO_LONG)))], "/blocks/0/chart/series/0/name"),
    "long label": ([block(on_axes(series(labels=[TOO_LONG]), labels=["x"]))], "/blocks/0/chart/series/0/data/0/label"),
    "long category": (
        [block(on_axes(series(labels=["x"]), labels=[TOO_LONG]))],
        "/blocks/0/chart/axis_config/categories/0",
    ),
    "long axis": ([block(on_axes(series(), x_label="x" * 51))], "/blocks/0/chart/axis_config/x_label"),
    "a point too few": ([block(on_axes(series(labels=LABELS[1:])))], "/blocks/0/chart/series/0/data"),
    "a point off the axis": (
        [block(on_axes(series(labels=["a", "c"]), labels=["a", "b"]))],
        "/blocks/0/chart/series/0/data",
    ),
    "a category twice": (
        [block(on_axes(series(labels=["a", "a"]), labels=["a", "a"]))],
        "/blocks/0/chart/axis_config/categories",
    ),
    "no value": ([block(on_axes(series(value=None)))], "/blocks/0/chart/series/0/data/0/value"),
    "not a number": ([block(on_axes(series(value=float("nan"))))], "/blocks/0/chart/series/0/data/0/value"),
    "an empty slice": ([block(pie(1, 0))], "/blocks/0/chart/segments/1/value"),
    "thirteen slices": ([block(pie(*range(1, 14)))], "/blocks/0/chart/segments"),
    "three charts": ([block(pie(1))] * 3, "/blocks"),
}


@pytest.mark.parametrize(("blocks", "pointer"), REFUSED.values(), ids=REFUSED)
def test_chart_beyond_its_limits_is_refused(blocks: list[Any], pointer: str) -> None:
    """The answer is invalid_blocks, and its first remark points at the fault."""
    with pytest.raises(SlackRefusal, match="invalid_blocks") as caught:
        check_message(text="fallback", blocks=blocks)
    assert caught.value.problems[0].endswith(f"[json-pointer:{pointer}]")


@pytest.mark.parametrize("view", [{"type": "home"}, {"type": "modal", "title": {"type": "plain_text", "text": "x"}}])
def test_chart_in_a_view_is_refused(view: dict[str, Any]) -> None:
    """Slack accepts charts in messages only."""
    with pytest.raises(SlackRefusal, match="invalid_arguments") as caught:
        check_view({**view, "blocks": [block(pie(1))]}, kind=view["type"])
    assert caught.value.problems == ("unsupported type: data_visualization [json-pointer:/view/blocks/0/type]",)


def test_chart_is_refused_in_a_workspace_without_charts() -> None:
    """Slack then answers as for any unknown block, and accepts other blocks."""
    blocks = [{"type": "divider"}, block(pie(1))]
    with pytest.raises(SlackRefusal, match="invalid_blocks") as caught:
        check_message(text="fallback", blocks=blocks, unknown=frozenset({"data_visualization"}))
    assert caught.value.problems == ("unsupported type: data_visualization [json-pointer:/blocks/1/type]",)
    check_message(text="fallback", blocks=blocks[:1], unknown=frozenset({"data_visualization"}))


def test_chart_title_is_a_visible_text() -> None:
    after = {"type": "section", "text": {"type": "plain_text", "text": "after"}}
    assert list(texts_of([block(pie(1)), after])) == ["Latency", "after"]
