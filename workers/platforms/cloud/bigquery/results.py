"""Rows of BigQuery ML's functions, converted to values and to lines for people. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.platforms.protocols.warehouse import Evaluation

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Iterations:
    """The iterations of a training until now, by their losses on the training rows."""

    losses: Sequence[float]

    @property
    def fact(self) -> str:
        """Return the fact for a card after the first iteration: "iteration 7, loss 0.1234 █▅▃▂▂▁▁"."""
        return f"iteration {len(self.losses)}, loss {self.losses[-1]:.4g} {chart(self.losses)}"

    @property
    def note(self) -> str:
        """Return the note of a finished training: "7 iterations, final loss 0.1234 █▅▃▂▂▁▁"."""
        count = len(self.losses)
        if not count:
            return "iterations unknown"
        return f"{count} iteration{'s' if count > 1 else ''}, final loss {self.losses[-1]:.4g} {chart(self.losses)}"


def iterations(rows: Iterable[Row]) -> Iterations:
    """Return the iterations in ML.TRAINING_INFO's rows, which come in any order.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-train#output
    """
    ordered = sorted((row for row in rows if row.get("loss") is not None), key=lambda row: int(row["iteration"]))
    return Iterations(losses=[float(row["loss"]) for row in ordered])


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
    metrics = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
    metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
    undefined = [name for name in row if name not in metrics]
    rows = "on the rows that AUTO_SPLIT held out" if held_out else "on the training rows (under 500, none held out)"
    return Evaluation(metrics=metrics, note=rows + (f"; {', '.join(undefined)} undefined on them" if undefined else ""))


def confusion(rows: Iterable[Row]) -> list[str]:
    """Return ML.CONFUSION_MATRIX as lines "expected setosa: 50 setosa, 2 virginica", without zeros.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-confusion#output
    """
    lines = []
    for row in rows:
        predicted = {name: int(count or 0) for name, count in row.items() if name not in ("trial_id", "expected_label")}
        found = sorted(((count, name) for name, count in predicted.items() if count), key=lambda pair: -pair[0])
        counts = ", ".join(f"{count:,} {name}" for count, name in found[:LINES]) or "none"
        lines.append(f"expected {row['expected_label']}: {counts}")
    return _cut(lines)


def importance(rows: Iterable[Row]) -> list[str]:
    """Return ML.FEATURE_IMPORTANCE as lines "petal_length: gain 12.3, 45 splits", by descending mean gain.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-importance#output
    """
    ranked = sorted(rows, key=lambda row: -float(row["importance_gain"] or 0))
    return _cut(
        [
            f"{row['feature']}: gain {float(row['importance_gain'] or 0):.4g}, "
            f"{float(row['importance_weight'] or 0):.0f} splits"
            for row in ranked
        ]
    )


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= LINES else [*lines[:LINES], f"… and {len(lines) - LINES} more"]
