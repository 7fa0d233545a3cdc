"""Tests of the gate's judgement of a metric, with and without a live version."""

from pathlib import Path

import pytest

from workers.contract.gate import read_bound
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.jobs.gate import judge
from workers.platforms.protocols import Comparison, Evaluation, LiveVersion

EVALUATION = Evaluation(metrics={"accuracy": 0.95, "log_loss": 0.2}, note="on 20 rows; roc_auc undefined on them")
LIVE = LiveVersion(version=2, environment="staging", folder=Path("unused"))


def orders(**gate: str) -> Model:
    bounds = {metric: read_bound(bound) for metric, bound in gate.items()}
    return Model(name="orders", type="logistic_reg", label="status", query="SELECT 1", sample=({"a": 1},), gate=bounds)


@pytest.mark.parametrize(
    ("bound", "new", "live", "met", "fact"),
    [
        (">= 0.95", 0.8, 0.9, True, "accuracy 0.95 >= 0.95"),
        ("> 0.95", 0.99, 0.9, False, "accuracy 0.95, required > 0.95"),
        (">= live - 0.01", 0.93, 0.94, True, "accuracy 0.93 >= live - 0.01 (v2 on staging 0.94)"),
        ("> live", 0.94, 0.94, False, "accuracy 0.94, required > live, so > 0.94 (v2 on staging 0.94)"),
        (
            ">= live * 0.98",
            0.9211999,
            0.94,
            False,
            "accuracy 0.9211999, required >= live * 0.98, so >= 0.9212 (v2 on staging 0.94)",
        ),
    ],
)
def test_constant_bound_uses_the_evaluation_and_a_relative_one_the_comparison(
    bound: str, new: float, live: float, met: bool, fact: str
) -> None:
    comparison = Comparison(new={"accuracy": new}, live={"accuracy": live}, note="on 20 rows held out")
    assert judge(orders(accuracy=bound), "accuracy", EVALUATION, LIVE, comparison) == (met, fact)


def test_relative_bound_is_skipped_if_nothing_is_live() -> None:
    found = judge(orders(accuracy=">= live"), "accuracy", EVALUATION, None, None)
    assert found == (True, "accuracy >= live skipped: no version is live yet")


def test_metric_that_a_version_does_not_have_is_an_error() -> None:
    with pytest.raises(PermanentError, match=r"roc_auc cannot be computed \(on 20 rows; roc_auc undefined") as caught:
        judge(orders(roc_auc="> 0.5"), "roc_auc", EVALUATION, None, None)
    assert caught.value.advice == "Set bounds for these: accuracy, log_loss."
    comparison = Comparison(new={"accuracy": 0.9, "roc_auc": 0.9}, live={"accuracy": 0.9}, note="on 20 rows")
    with pytest.raises(PermanentError, match=r"roc_auc cannot be computed \(on 20 rows, v2\)"):
        judge(orders(roc_auc="> live"), "roc_auc", EVALUATION, LIVE, comparison)
