"""Held-out rows, and metrics with the meaning of ML.EVALUATE."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from workers.platforms.embedded.warehouse.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.warehouse.features import Examples, Feature
from workers.platforms.embedded.warehouse.split import split


def examples(labels: "np.ndarray[Any, Any]") -> Examples:
    frame = pd.DataFrame({"x": np.arange(len(labels), dtype=float)})
    return Examples(features=(Feature(name="x", type="FLOAT"),), frame=frame, labels=labels, unlabelled=0)


@pytest.mark.parametrize(("rows", "held"), [(499, 0), (500, 100), (50_000, 10_000), (100_000, 10_000)])
def test_rows_are_held_out_as_auto_split_does(rows: int, held: int) -> None:
    """The same rows every time."""
    chosen = split(examples(np.arange(rows, dtype=float)), classify=False)
    again = split(examples(np.arange(rows, dtype=float)), classify=False)
    assert np.array_equal(chosen.evaluate, again.evaluate)
    if held:
        assert len(chosen.evaluate) == held
        assert sorted({*chosen.train, *chosen.evaluate}) == list(range(rows))
        assert "held out" in chosen.note
    else:
        assert np.array_equal(chosen.train, chosen.evaluate)
        assert "none are held out" in chosen.note


def test_class_with_one_row_is_trained_on() -> None:
    labels = np.array(["common"] * 999 + ["rare"])
    chosen = split(examples(labels), classify=True)
    assert set(labels[chosen.train]) == {"common", "rare"}
    assert len(chosen.evaluate) == 199


def test_greater_of_two_classes_is_the_positive_one() -> None:
    """10 is greater than 9 as a number. One of two is found, one of three predictions is right."""
    labels = np.array(["10", "10", "9", "9", "9"])
    predicted = np.array(["10", "9", "10", "10", "9"])
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4], [0.1, 0.9]])
    metrics = classification_metrics(labels, predicted, probabilities, ["10", "9"])
    assert metrics["precision"] == pytest.approx(1 / 3)
    assert metrics["recall"] == pytest.approx(1 / 2)
    assert metrics["f1_score"] == pytest.approx(2 / 5)
    assert metrics["accuracy"] == pytest.approx(2 / 5)
    assert metrics["roc_auc"] == pytest.approx(4 / 6)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.3, 0.4, 0.9]).mean())


def test_metrics_of_three_classes_are_means() -> None:
    """The recall of the classes is 1, 1 and 0."""
    labels = np.array(["a", "b", "c"])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]])
    metrics = classification_metrics(labels, np.array(["a", "b", "b"]), probabilities, ["a", "b", "c"])
    assert metrics["precision"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert metrics["recall"] == pytest.approx((1 + 1 + 0) / 3)
    assert metrics["roc_auc"] == pytest.approx(1.0)


def test_undefined_metric_is_named_in_the_note_only() -> None:
    """A single class has no ROC curve, and log(1 + value) needs values above -1."""
    one = classification_metrics(np.array(["a"]), np.array(["a"]), np.array([[0.9, 0.1]]), ["a", "b"])
    judged = evaluation(one, rows="on 1 row")
    assert "roc_auc" not in judged.metrics
    assert judged.note == "on 1 row; roc_auc undefined on them"
    numbers = regression_metrics(np.array([-2.0, 3.0]), np.array([1.0, 2.0]))
    judged = evaluation(numbers, rows="on 2 rows")
    assert "mean_squared_log_error" not in judged.metrics
    assert judged.metrics["mean_absolute_error"] == 2.0
