"""Rows of BigQuery ML's functions, converted to values and to lines for people. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workers.contract.formatting import show_count
from workers.platforms.protocols import Evaluation

Row = Mapping[str, Any]
"""One row of a result: column → value."""

MAX_ITERATIONS = 20
"""The most iterations of a training: the default of MAX_ITERATIONS for every type here. A training may stop early.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#max_iterations and
…-create-boosted-tree#max_iterations
"""
LINES = 20
"""The most lines of a matrix or ranking in a job's thread."""
_BARS = "▁▂▃▄▅▆▇█"


def training_losses(rows: Iterable[Row]) -> list[float]:
    """Return the loss of each iteration in ML.TRAINING_INFO's rows, which come in any order.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-train#output
    """
    ordered = sorted((row for row in rows if row.get("loss") is not None), key=lambda row: int(row["iteration"]))
    return [float(row["loss"]) for row in ordered]


def training_note(found: Sequence[float]) -> str:
    """Return the losses of a finished training for people: "7 iterations, final loss 0.1234 █▅▃▂▂▁▁"."""
    if not found:
        return "iterations unknown"
    return f"{show_count(len(found), 'iteration')}, final loss {found[-1]:.4g} {chart(found)}"


def chart(values: Sequence[float]) -> str:
    """Return the last values as a line of bars, scaled between the lowest and the highest."""
    shown = [value for value in values if math.isfinite(value)][-MAX_ITERATIONS:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    return "".join(_BARS[round((value - low) / (high - low) * 7)] if high > low else _BARS[0] for value in shown)


def evaluation(row: Row, *, held_out: bool) -> Evaluation:
    """Return the evaluation in ML.EVALUATE's one row. The note names metrics that are not finite.

    AUTO_SPLIT holds out no rows if there are fewer than 500. The training rows are evaluated then:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#data_split_method
    """
    metrics = {
        name: float(value) for name, value in row.items() if isinstance(value, int | float) and math.isfinite(value)
    }
    undefined = [name for name in row if name not in metrics]
    rows = "on the rows that AUTO_SPLIT held out" if held_out else "on the training rows (under 500, none held out)"
    return Evaluation(metrics=metrics, note=rows + (f"; {', '.join(undefined)} undefined on them" if undefined else ""))


def means(rows: Iterable[Row]) -> dict[str, float]:
    """Return the features' means in ML.FEATURE_INFO; strings have none.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-feature
    """
    found = {row["input"]: row["mean"] for row in rows if row.get("mean") is not None}
    return {name: float(mean) for name, mean in found.items() if math.isfinite(float(mean))}


def evaluation_table(training_runs: Sequence[Mapping[str, Any]]) -> Mapping[str, str] | None:
    """Return the TableReference of the rows that were held out from a model's last training, or None if none were.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/models#datasplitresult
    """
    split = training_runs[-1].get("dataSplitResult", {}) if training_runs else {}
    return split.get("evaluationTable") or None


def confusion(rows: Iterable[Row]) -> list[str]:
    """Return ML.CONFUSION_MATRIX as lines "expected setosa: 50 setosa, 2 virginica", without zeros.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-confusion#output
    """
    lines = []
    for row in rows:
        predicted = [(count, name) for name, count in row.items() if name not in ("trial_id", "expected_label")]
        found = sorted(((int(count), name) for count, name in predicted if count), key=lambda pair: -pair[0])
        counts = ", ".join(f"{count:,} {name}" for count, name in found[:LINES]) or "none"
        lines.append(f"expected {row['expected_label']}: {counts}")
    return _cut(lines)


def importance(rows: Iterable[Row]) -> list[str]:
    """Return ML.FEATURE_IMPORTANCE as lines "petal_length: gain 12.3, 45 splits", by descending mean gain.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-importance#output
    """
    found = [(row["feature"], float(row["importance_gain"] or 0), float(row["importance_weight"] or 0)) for row in rows]
    ranked = sorted(found, key=lambda one: -one[1])
    return _cut([f"{feature}: gain {gain:.4g}, {splits:.0f} splits" for feature, gain, splits in ranked])


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= LINES else [*lines[:LINES], f"… and {len(lines) - LINES} more"]
