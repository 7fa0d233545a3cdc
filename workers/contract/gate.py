"""Bounds of the quality gate, and the metrics that they may name. Settings and jobs use it. Pure."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from workers.contract.units import quoted

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(>=|<=|>|<)\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_CLASSIFIER = ("precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc")
_REGRESSOR = (
    "mean_absolute_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "r2_score",
    "explained_variance",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """A bound for a metric: `sign` is >=, <=, > or <, and `number` is finite."""

    sign: str
    number: float

    def __str__(self) -> str:
        return f"{self.sign} {repr(self.number).removesuffix('.0')}"

    def met(self, value: float) -> bool:
        """Return True if `value` is within the bound. NaN is not."""
        return _COMPARISONS[self.sign](value, self.number)

    def show(self, value: float) -> str:
        """Return `value` with six digits, or as many as show on which side of the bound it lies."""
        rounded = (f"{value:.{count}g}" for count in range(6, 17))
        return next((text for text in rounded if self.met(float(text)) == self.met(value)), repr(value))


def read_bound(text: str) -> Bound:
    """Read a bound in ">= 0.9", "<1e-3" or "> .5". Raises ValueError with a sentence that has an example."""
    match = _BOUND.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[2])):
        raise ValueError(f'{quoted(text)} is not a bound; write it like ">= 0.9" or "< 1e-3"')
    return Bound(sign=match[1], number=float(match[2]))


def metrics_of(model_type: str) -> tuple[str, ...]:
    """Return the metrics of a model type in ML.EVALUATE's order.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate#output
    """
    return _CLASSIFIER if model_type == "logistic_reg" or model_type.endswith("_classifier") else _REGRESSOR


def check_metrics(gate: Mapping[str, Bound], *, model_type: str) -> None:
    """Raise ValueError with a sentence for the first metric of `gate` that a model of this type does not have."""
    known = metrics_of(model_type)
    for name in gate:
        if name not in known:
            near = get_close_matches(name.lower(), known, n=1, cutoff=0.8)
            advice = f"; did you mean {near[0]}?" if near else "."
            raise ValueError(f"{model_type} has no metric {quoted(name)}{advice} It has {', '.join(known)}")
