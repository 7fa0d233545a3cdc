"""Training of a scikit-learn pipeline, in stages that report progress, with BigQuery ML's defaults if it has any."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from workers.contract.settings import Model
from workers.platforms.embedded.background import ReportStage
from workers.platforms.embedded.warehouse.features import Examples, Feature

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[np.intp]]

# BigQuery ML's defaults of MAX_ITERATIONS, LEARN_RATE and MAX_TREE_DEPTH:
# https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-boosted-tree
TREE_ITERATIONS = 20
TREE_LEARN_RATE = 0.3
TREE_DEPTH = 6
ROUND_ITERATIONS = 10
"""Iterations of logistic_reg between reports."""
MAXIMUM_ROUNDS = 20
SEED = 0
"""Fixed, to get the same split and model from the same rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Row numbers for training and for evaluation. They are equal if no rows are held out."""

    train: "Array"
    evaluate: "Array"
    note: str


def split(examples: Examples, *, classify: bool) -> Split:
    """Hold out rows as AUTO_SPLIT does: 0 below 500 rows, 20 % up to 50,000 rows, 10,000 rows above.

    For a classifier they are taken from each class in proportion, to keep every class in the training.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#data_split_method
    """
    import numpy as np

    count = len(examples.labels)
    if count < 500:
        every, note = np.arange(count), f"on the {count} training rows: under 500 rows none are held out"
        return Split(train=every, evaluate=every, note=note)
    share = 0.2 if count <= 50_000 else 10_000 / count
    shuffled = np.random.default_rng(SEED).permutation(count)
    groups = examples.labels[shuffled] if classify else np.zeros(count)
    held = np.zeros(count, dtype=bool)
    for group in np.unique(groups):
        members = shuffled[groups == group]
        held[members[: int(len(members) * share)]] = True
    evaluate = np.flatnonzero(held)
    return Split(train=np.flatnonzero(~held), evaluate=evaluate, note=f"on {len(evaluate):,} rows held out")


def fit(model: Model, examples: Examples, rows: "Array", *, report: ReportStage) -> tuple[Any, str]:
    """Train on these rows and report every iteration or stage. The same rows give the same model.

    Returns a scikit-learn pipeline and one fact about its training.
    """
    from sklearn.pipeline import Pipeline

    preprocessing = _preprocessing(examples.features, standardise=model.type in ("linear_reg", "logistic_reg"))
    inputs = preprocessing.fit_transform(examples.frame.iloc[rows])
    estimator, note = _ESTIMATORS[model.type](inputs, examples.labels[rows], report)
    return Pipeline([("features", preprocessing), ("estimator", estimator)]), note


def _preprocessing(features: tuple[Feature, ...], *, standardise: bool) -> Any:
    """Encode strings one-hot, with zeros for an unseen category. Standardise numbers, except for trees."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    # Select columns by position: the ONNX converter fails on a column named "label".
    numbers = [position for position, feature in enumerate(features) if feature.type != "STRING"]
    strings = [position for position, feature in enumerate(features) if feature.type == "STRING"]
    scaler = StandardScaler() if standardise else "passthrough"
    steps = [("numbers", scaler, numbers), ("strings", OneHotEncoder(handle_unknown="ignore"), strings)]
    return ColumnTransformer([step for step in steps if step[2]])


def _linear(inputs: Any, labels: Any, report: ReportStage) -> tuple[Any, str]:
    from sklearn.linear_model import LinearRegression

    report(0, 1, "solving least squares")
    estimator = LinearRegression().fit(inputs, labels)
    report(1, 1, "solved least squares")
    return estimator, "least squares, solved exactly"


def _logistic(inputs: Any, labels: Any, report: ReportStage) -> tuple[Any, str]:
    """Fit with scikit-learn's default regularisation (L2, C=1): without it, separable classes have no optimum.

    The reported loss is the minimised function: mean log loss plus penalty.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    # Every round except the last ends before convergence. Ignored process-wide: catch_warnings is not thread-safe.
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    estimator = LogisticRegression(max_iter=ROUND_ITERATIONS, warm_start=True)
    limit, done = ROUND_ITERATIONS * MAXIMUM_ROUNDS, 0
    report(0, limit, "first iterations")
    while True:
        estimator.fit(inputs, labels)
        done += int(estimator.n_iter_.max())
        penalty = float((estimator.coef_**2).sum()) / 2 / len(labels)
        loss = float(log_loss(labels, estimator.predict_proba(inputs), labels=estimator.classes_)) + penalty
        converged = bool(estimator.n_iter_.max() < ROUND_ITERATIONS)
        report(done, done if converged else limit, f"iteration {done}, loss {loss:.4g}")
        if converged or done >= limit:
            return estimator, f"{'converged after' if converged else 'stopped at'} {done} iterations, loss {loss:.4g}"


def _boosted(inputs: Any, labels: Any, report: ReportStage, *, kind: str) -> tuple[Any, str]:
    """Fit gradient boosting. skl2onnx 1.20 cannot convert its histogram variant."""
    from sklearn import ensemble

    def stage(iteration: int, estimator: Any, _: dict[str, Any]) -> bool:
        loss = estimator.train_score_[iteration]
        report(iteration + 1, TREE_ITERATIONS, f"iteration {iteration + 1}, loss {loss:.4g}")
        return False

    estimator = getattr(ensemble, kind)(
        n_estimators=TREE_ITERATIONS, learning_rate=TREE_LEARN_RATE, max_depth=TREE_DEPTH, random_state=SEED
    )
    report(0, TREE_ITERATIONS, "first iteration")
    estimator.fit(inputs, labels, monitor=stage)
    return estimator, f"{estimator.estimators_.size} trees, final loss {estimator.train_score_[-1]:.4g}"


_ESTIMATORS: dict[str, Callable[[Any, Any, ReportStage], tuple[Any, str]]] = {
    "linear_reg": _linear,
    "logistic_reg": _logistic,
    "boosted_tree_classifier": partial(_boosted, kind="GradientBoostingClassifier"),
    "boosted_tree_regressor": partial(_boosted, kind="GradientBoostingRegressor"),
}
