"""Metrics of the exported graph, under the names of BigQuery's ML.EVALUATE. Pure.

https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-evaluate
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.platforms.protocols import Evaluation

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def evaluation(metrics: Mapping[str, float], *, rows: str) -> Evaluation:
    """Return the finite metrics. The note names `rows` and the undefined metrics."""
    undefined = [name for name, value in metrics.items() if not math.isfinite(value)]
    note = rows + (f"; {', '.join(undefined)} undefined on them" if undefined else "")
    return Evaluation(metrics={name: float(metrics[name]) for name in metrics if name not in undefined}, note=note)


def classification_metrics(
    labels: "Array", predicted: "Array", probabilities: "Array", classes: list[str]
) -> dict[str, float]:
    """Return precision, recall, accuracy, f1_score, log_loss and roc_auc.

    With two classes, the greater one is positive: 1 over 0, true over false. With more, precision, recall, f1_score and
    the one-vs-rest roc_auc are means over the classes. roc_auc is NaN if all rows have the same class.
    """
    import numpy as np
    from sklearn import metrics

    numeric = all(name.removeprefix("-").isdecimal() for name in classes)
    positive = max(classes, key=lambda name: (int(name) if numeric else 0, name))
    how = {"average": "binary", "pos_label": positive} if len(classes) == 2 else {"average": "macro"}
    precision, recall, f1_score, _ = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0, **how)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    areas = [
        metrics.roc_auc_score(labels == name, exact[:, column])
        for column, name in enumerate(classes)
        if (name == positive or len(classes) > 2) and 0 < (labels == name).sum() < len(labels)
    ]
    return {
        "precision": precision,
        "recall": recall,
        "accuracy": metrics.accuracy_score(labels, predicted),
        "f1_score": f1_score,
        "log_loss": metrics.log_loss(labels, exact, labels=classes),
        "roc_auc": np.mean(areas) if areas else math.nan,
    }


def regression_metrics(labels: "Array", predicted: "Array") -> dict[str, float]:
    """Return mean absolute, mean squared, mean squared log and median absolute error, r2_score, explained_variance.

    mean_squared_log_error, over log(1 + value), is NaN if a label or a prediction is -1 or less.
    """
    from sklearn import metrics

    has_logarithms = min(labels.min(), predicted.min()) > -1
    return {
        "mean_absolute_error": metrics.mean_absolute_error(labels, predicted),
        "mean_squared_error": metrics.mean_squared_error(labels, predicted),
        "mean_squared_log_error": metrics.mean_squared_log_error(labels, predicted) if has_logarithms else math.nan,
        "median_absolute_error": metrics.median_absolute_error(labels, predicted),
        "r2_score": metrics.r2_score(labels, predicted),
        "explained_variance": metrics.explained_variance_score(labels, predicted),
    }
