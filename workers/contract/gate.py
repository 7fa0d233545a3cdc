"""Bounds of the quality gate, and the metrics that they may name. Settings and jobs use it. Pure."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from workers.contract.units import quoted

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_SIGN = r"(>=|<=|>|<)\s*"
_NUMBER = r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
_BOUND = re.compile(rf"{_SIGN}([+-]?){_NUMBER}")
_LIVE = re.compile(rf"{_SIGN}live(?:\(\s*([a-z0-9-]+)\s*\))?(?:\s*([+*-])\s*{_NUMBER})?")
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
    """A bound for a metric: `sign` (>=, <=, > or <) and `number`, which is finite.

    With a `factor`, the bound is relative: factor × the live version's value + `number`. The version is live on
    `environment`, or on the only one if that is "".
    """

    sign: str
    number: float = 0.0
    factor: float = 0.0
    environment: str = ""

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.sign} {_digits(self.number)}"
        live = f"live({self.environment})" if self.environment else "live"
        factor = f" * {_digits(self.factor)}" if self.factor != 1 else ""
        offset = f" {'-' if self.number < 0 else '+'} {_digits(abs(self.number))}" if self.number else ""
        return f"{self.sign} {live}{factor}{offset}"

    @property
    def relative(self) -> bool:
        """Return True if the bound refers to the live version."""
        return self.factor != 0

    def against(self, live: float) -> "Bound":
        """Return the bound for a live version with this value. Computed in decimal: 0.94 - 0.01 is 0.93."""
        number = _decimal(self.factor) * _decimal(live) + _decimal(self.number)
        return Bound(sign=self.sign, number=float(number))

    def met(self, value: float) -> bool:
        """Return True if `value` is within the bound, which is not relative. NaN is not."""
        return _COMPARISONS[self.sign](value, self.number)

    def show(self, value: float) -> str:
        """Return `value` with six digits, or as many as show on which side of the bound it lies."""
        rounded = (f"{value:.{count}g}" for count in range(6, 17))
        return next((text for text in rounded if self.met(float(text)) == self.met(value)), repr(value))

    def show_both(self, value: float) -> tuple[str, str]:
        """Return `value` and the bound, rounded alike, with six digits or as many as show the bound's side."""
        for count in range(6, 17):
            text, number = f"{value:.{count}g}", f"{self.number:.{count}g}"
            if _COMPARISONS[self.sign](float(text), float(number)) == self.met(value):
                return text, f"{self.sign} {number}"
        return repr(value), str(self)


def read_bound(text: str) -> Bound:
    """Read a bound in ">= 0.9", "<1e-3", ">= live - 0.01", "< live(staging) * 1.05".

    Raises ValueError with a sentence that has an example.
    """
    stripped = text.strip()
    if (match := _BOUND.fullmatch(stripped)) and math.isfinite(number := float(match[2] + match[3])):
        return Bound(sign=match[1], number=number)
    if (match := _LIVE.fullmatch(stripped)) and math.isfinite(number := float(match[4] or 0)):
        sign, environment, operation = match[1], match[2] or "", match[3]
        if operation != "*":
            return Bound(sign=sign, number=-number if operation == "-" else number, factor=1.0, environment=environment)
        if number:
            return Bound(sign=sign, factor=number, environment=environment)
    raise ValueError(f'{quoted(text)} is not a bound; write it like ">= 0.9", "< 1e-3" or ">= live - 0.01"')


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


def live_environment(model: str, gate: Mapping[str, Bound], *, environments: Sequence[str]) -> str | None:
    """Return the environment of the live version that the gate of `model` refers to, or None.

    Raises ValueError if it refers to several of the `environments`, or to none of them.
    """
    named = {bound.environment for bound in gate.values() if bound.relative}
    if not named:
        return None
    only = environments[0] if len(environments) == 1 else ""
    found = {name or only for name in named}
    if len(found) == 1 and found <= set(environments):
        return found.pop()
    known = ", ".join(f"live({name})" for name in environments) or "a number: there are no environments"
    raise ValueError(f"models.{model}.gate: “live” must be one environment of the settings; write {known}")


def _digits(number: float) -> str:
    return repr(number).removesuffix(".0")


def _decimal(number: float) -> Decimal:
    """Return the shortest decimal that identifies the number."""
    return Decimal(repr(number))
