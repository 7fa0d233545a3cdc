"""Tests of the quality gate's bounds and of its metrics."""

from typing import get_args

import pytest

from workers.contract.gate import Bound, metrics_of, read_bound
from workers.contract.settings import ModelType


@pytest.mark.parametrize(
    ("text", "sign", "number"),
    [
        (">= 0.9", ">=", 0.9),
        ("<1e-3", "<", 0.001),
        ("  <=  1E6 ", "<=", 1e6),
        ("> .5", ">", 0.5),
        ("> -3.", ">", -3.0),
        ("<+2.5e+2", "<", 250.0),
    ],
)
def test_bound_is_read_with_its_sign_and_number(text: str, sign: str, number: float) -> None:
    bound = read_bound(text)
    assert bound == Bound(sign=sign, number=number)
    assert read_bound(str(bound)) == bound


def test_bound_is_shown_without_needless_digits() -> None:
    assert [str(read_bound(text)) for text in ("<1e-3", "<= 1e6", ">.90")] == ["< 0.001", "<= 1000000", "> 0.9"]


@pytest.mark.parametrize(
    ("text", "shown", "required"),
    [
        (">= live", ">= live", 0.94),
        (">=live-0.01", ">= live - 0.01", 0.93),
        ("<= live( staging ) + 1e-3", "<= live(staging) + 0.001", 0.941),
        ("> live * .5", "> live * 0.5", 0.47),
    ],
)
def test_bound_may_refer_to_the_live_version(text: str, shown: str, required: float) -> None:
    """Computed in decimal: in binary, 0.94 - 0.01 is less than 0.93."""
    bound = read_bound(text)
    assert bound.relative and str(bound) == shown and read_bound(shown) == bound
    assert bound.against(0.94) == Bound(sign=bound.sign, number=required)


@pytest.mark.parametrize(
    "text", [">= live - -1", ">= live * 0", ">= live / 2", ">= 2 * live", ">= live staging", "live"]
)
def test_other_arithmetic_with_the_live_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        read_bound(text)


@pytest.mark.parametrize(
    "text", ["", "0.9", "= 0.9", ">=", ">= 0.9 0.8", ">= nan", ">= 1e400", ">= ٣", "> 1,5", ">> 1", ">= ."]
)
def test_text_that_is_not_a_bound_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        read_bound(text)


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [(">= 0.9", 0.9, True), ("> 0.9", 0.9, False), ("<= 1e-3", 0.0011, False), ("< 1", float("nan"), False)],
)
def test_value_meets_a_bound_on_its_side(bound: str, value: float, met: bool) -> None:
    assert read_bound(bound).met(value) is met


@pytest.mark.parametrize(
    ("bound", "value", "shown"),
    [
        (">= 0.9", 0.8999999, "0.8999999"),
        (">= 0.9", 0.973333333, "0.973333"),
        ("< 0.1", 0.09999999999999999, "0.09999999999999999"),
        ("> 0.3", 0.1 + 0.2, "0.30000000000000004"),
        (">= 0.8999999", 0.8999999, "0.9"),
        ("<= 1e6", 1_000_000.4, "1000000.4"),
        ("< 1", float("nan"), "nan"),
    ],
)
def test_rounded_value_lies_on_the_same_side_of_the_bound(bound: str, value: float, shown: str) -> None:
    assert read_bound(bound).show(value) == shown


def test_value_and_bound_are_rounded_until_they_show_the_side() -> None:
    assert read_bound(">= 0.98333333").show_both(0.973333333) == ("0.973333", ">= 0.983333")
    assert read_bound(">= 0.98333333").show_both(0.98333331) == ("0.98333331", ">= 0.98333333")
    assert read_bound(">= 0.30000000000000004").show_both(0.3) == ("0.3", ">= 0.30000000000000004")


def test_every_model_type_has_metrics() -> None:
    for model_type in get_args(ModelType):
        assert ("accuracy" in metrics_of(model_type)) != ("r2_score" in metrics_of(model_type))
