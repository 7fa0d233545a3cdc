"""Held-out rows, and metrics with the meaning of ML.EVALUATE."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from tests.platforms.orders import orders_model
from tests.platforms.progress import RecordedProgress
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.warehouse.features import Examples, Feature
from workers.platforms.embedded.warehouse.options import row_weights
from workers.platforms.embedded.warehouse.split import split
from workers.platforms.embedded.warehouse.tables import StoredTable
from workers.platforms.embedded.warehouse.warehouse import read_examples

LINEAR = orders_model(type="linear_reg")


def examples(labels: "np.ndarray[Any, Any]") -> Examples:
    frame = pd.DataFrame({"x": np.arange(len(labels), dtype=float)})
    return Examples(features=(Feature(name="x", type="DOUBLE"),), frame=frame, labels=labels, unlabelled=0)


@pytest.mark.parametrize(("rows", "held"), [(499, 0), (500, 100), (50_000, 10_000), (100_000, 10_000)])
def test_rows_are_held_out_as_auto_split_does(rows: int, held: int) -> None:
    """The same rows every time."""
    chosen = split(LINEAR, examples(np.arange(rows, dtype=float)))
    again = split(LINEAR, examples(np.arange(rows, dtype=float)))
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
    chosen = split(orders_model(), examples(labels))
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


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ({"data_split_method": "NO_SPLIT"}, range(10)),
        ({"data_split_method": "CUSTOM", "data_split_col": "c"}, [1, 4]),
        ({"data_split_method": "SEQ", "data_split_col": "c", "data_split_eval_fraction": 0.3}, [7, 8, 9]),
    ],
)
def test_rows_are_split_as_the_options_say(options: dict[str, Any], held: Any) -> None:
    given = examples(np.arange(10, dtype=float))
    values = np.isin(np.arange(10), [1, 4]).astype(float) if options.get("data_split_method") == "CUSTOM" else None
    by = np.arange(10, dtype=float) if values is None else values
    chosen = split(orders_model(type="linear_reg", options=options), replace(given, split_by=by))
    assert chosen.evaluate.tolist() == list(held)
    if options["data_split_method"] != "NO_SPLIT":
        assert sorted([*chosen.train, *chosen.evaluate]) == list(range(10))


def test_random_split_holds_out_the_fraction() -> None:
    options = {"data_split_method": "RANDOM", "data_split_eval_fraction": 0.3}
    chosen = split(orders_model(type="linear_reg", options=options), examples(np.arange(10, dtype=float)))
    assert len(chosen.evaluate) == 3


def test_split_without_a_row_on_one_side_is_refused() -> None:
    options = {"data_split_method": "CUSTOM", "data_split_col": "c"}
    given = replace(examples(np.arange(10, dtype=float)), split_by=np.zeros(10))
    with pytest.raises(PermanentError, match="CUSTOM leaves no row for the evaluation"):
        split(orders_model(type="linear_reg", options=options), given)


def test_split_column_is_no_feature_and_must_have_its_type(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,held,label\n1,false,a\n2,false,b\n3,true,a\n4,true,b\n")
    options = {"data_split_method": "CUSTOM", "data_split_col": "held"}
    model = orders_model(label="label", query="SELECT * FROM `rows`", options=options)
    tables = {"rows": StoredTable(path=tmp_path / "rows.csv")}
    given = read_examples(model, tables=tables, progress=RecordedProgress())
    assert [feature.name for feature in given.features] == ["x"]
    assert split(model, given).evaluate.tolist() == [2, 3]
    wrong = model.model_copy(update={"options": {**options, "data_split_col": "x"}})
    with pytest.raises(PermanentError, match="data_split_col: x is INT64; CUSTOM splits by a column of the type BOOL"):
        read_examples(wrong, tables=tables, progress=RecordedProgress())


def test_class_weights_are_those_of_scikit_learn() -> None:
    labels = np.array(["a"] * 8 + ["b"] * 2)
    auto = row_weights(orders_model(options={"auto_class_weights": True}), labels)
    np.testing.assert_allclose(auto, compute_sample_weight("balanced", labels))
    with pytest.raises(PermanentError, match='no weight for the label "b"'):
        row_weights(orders_model(options={"class_weights": {"a": 1.0}}), labels)
