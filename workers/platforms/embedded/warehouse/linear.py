"""Training of linear models in scikit-learn, in stages that report progress."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workers.contract.settings import Model
from workers.platforms.embedded.background import ReportStage
from workers.platforms.embedded.warehouse.features import Examples, Feature
from workers.platforms.embedded.warehouse.options import row_weights

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[np.intp]]

ROUND_ITERATIONS = 10
"""Iterations of logistic_reg between reports."""
MAXIMUM_ROUNDS = 20


def fit(model: Model, examples: Examples, rows: "Array", *, report: ReportStage) -> tuple[Any, str]:
    """Train on these rows and report every iteration or stage. The same rows give the same model.

    Returns a scikit-learn pipeline and one fact about its training.
    """
    from sklearn.pipeline import Pipeline

    preprocessing = _preprocessing(examples.features)
    inputs = preprocessing.fit_transform(examples.frame.iloc[rows])
    estimator, note = _ESTIMATORS[model.type](model, inputs, examples.labels[rows], report)
    return Pipeline([("features", preprocessing), ("estimator", estimator)]), note


def _preprocessing(features: tuple[Feature, ...]) -> Any:
    """Encode strings one-hot, with zeros for an unseen category. Standardise numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    # Select columns by position: the ONNX converter fails on a column named "label".
    numbers = [position for position, feature in enumerate(features) if feature.type != "STRING"]
    strings = [position for position, feature in enumerate(features) if feature.type == "STRING"]
    steps = [("numbers", StandardScaler(), numbers), ("strings", OneHotEncoder(handle_unknown="ignore"), strings)]
    return ColumnTransformer([step for step in steps if step[2]])


def _linear(model: Model, inputs: Any, labels: Any, report: ReportStage) -> tuple[Any, str]:
    from sklearn.linear_model import LinearRegression

    report(0, 1, "solving least squares")
    estimator = LinearRegression(fit_intercept=model.options.get("fit_intercept", True)).fit(inputs, labels)
    report(1, 1, "solved least squares")
    return estimator, "least squares, solved exactly"


def _logistic(model: Model, inputs: Any, labels: Any, report: ReportStage) -> tuple[Any, str]:
    """Fit with scikit-learn's default regularisation (L2, C=1): without it, separable classes have no optimum.

    The reported loss is the minimised function: mean log loss plus penalty.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    # Every round except the last ends before convergence. Ignored process-wide: catch_warnings is not thread-safe.
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    weights = row_weights(model, labels)
    intercept = model.options.get("fit_intercept", True)
    estimator = LogisticRegression(max_iter=ROUND_ITERATIONS, warm_start=True, fit_intercept=intercept)
    limit, done = ROUND_ITERATIONS * MAXIMUM_ROUNDS, 0
    report(0, limit, "first iterations")
    while True:
        estimator.fit(inputs, labels, sample_weight=weights)
        done += int(estimator.n_iter_.max())
        penalty = float((estimator.coef_**2).sum()) / 2 / len(labels)
        probabilities = estimator.predict_proba(inputs)
        loss = float(log_loss(labels, probabilities, labels=estimator.classes_, sample_weight=weights)) + penalty
        converged = bool(estimator.n_iter_.max() < ROUND_ITERATIONS)
        report(done, done if converged else limit, f"iteration {done}, loss {loss:.4g}")
        if converged or done >= limit:
            return estimator, f"{'converged after' if converged else 'stopped at'} {done} iterations, loss {loss:.4g}"


_ESTIMATORS: dict[str, Callable[[Model, Any, Any, ReportStage], tuple[Any, str]]] = {
    "linear_reg": _linear,
    "logistic_reg": _logistic,
}
