"""Grammar of the chart in a data_visualization block, as tables.

https://docs.slack.dev/reference/block-kit/blocks/data-visualization-block
"""

from collections import Counter
from typing import cast

from bot.local_slack.refusal import JSON
from bot.local_slack.schema import Check, all_of, by_type, items, number, remark, shape, string


def _above_zero(value: object, pointer: str) -> list[str]:
    if found := number(value, pointer):
        return found
    return [] if cast(float, value) > 0 else [remark("must be more than 0", pointer)]


def _unique(values: list[str], pointer: str) -> list[str]:
    return [remark(f"is not unique: {one}", pointer) for one, count in Counter(values).items() if count > 1]


def _points_fit_the_axis(value: object, pointer: str) -> list[str]:
    """Check that series have unique names and one point for each category."""
    chart = cast(JSON, value)
    categories = chart["axis_config"]["categories"]
    found = _unique([series["name"] for series in chart["series"]], f"{pointer}/series")
    found += _unique(categories, f"{pointer}/axis_config/categories")
    for index, series in enumerate(chart["series"]):
        if sorted(point["label"] for point in series["data"]) != sorted(categories):
            found.append(remark("must have one data point for each category", f"{pointer}/series/{index}/data"))
    return found


# Series, or slices of a pie. Slack began with six, and has accepted twelve since July 2026:
# https://github.com/vercel/chat/pull/696.
_MAX_SERIES = 12
_LABEL = string(20)
_POINT = shape({"label": _LABEL, "value": number})
_SERIES = shape({"name": _LABEL, "data": items(_POINT, most=20)})
_AXES = shape({"categories": items(_LABEL, most=20)}, {"x_label": string(50), "y_label": string(50)})
_ON_AXES = all_of(shape({"series": items(_SERIES, most=_MAX_SERIES), "axis_config": _AXES}), _points_fit_the_axis)
_SEGMENT = shape({"label": _LABEL, "value": _above_zero})

CHART: Check = by_type(
    {"line": _ON_AXES, "area": _ON_AXES, "bar": _ON_AXES, "pie": shape({"segments": items(_SEGMENT, most=_MAX_SERIES)})}
)
