"""Boosted trees and random forests: training in XGBoost, with the export that BigQuery ML writes.

The encoders and the code that serves the export also prepare the training rows and evaluate the version, so training,
evaluation and service cannot differ. Defaults are BigQuery ML's:
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-boosted-tree and
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-random-forest
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.contract.formatting import show_count
from workers.contract.settings import Model
from workers.platforms.embedded.background import ReportStage
from workers.platforms.embedded.errors import query_error
from workers.platforms.embedded.warehouse.features import Examples, Feature, is_classifier
from workers.platforms.embedded.warehouse.options import row_weights, xgboost_parameters
from workers.platforms.embedded.warehouse.split import SEED, Split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from workers.platforms.serving.booster import BoosterSession
    from workers.platforms.serving.tensors import Tensor

    Array = np.ndarray[Any, Any]

TREES = ("boosted_tree_classifier", "boosted_tree_regressor", "random_forest_classifier", "random_forest_regressor")
THREADS = 2
"""Threads of one training: other jobs run at the same time."""
_DEFAULTS: Mapping[str, float | str] = {
    "booster": "gbtree",
    "tree_method": "hist",
    "learning_rate": 0.3,
    "max_depth": 6,
    "min_child_weight": 1,
    "gamma": 0.0,
    "alpha": 0.0,
    "lambda": 1.0,
    "subsample": 1.0,
    "num_parallel_tree": 1,
}
_FOREST: Mapping[str, float | str] = {
    "learning_rate": 1.0,
    "max_depth": 15,
    "subsample": 0.8,
    "colsample_bynode": 0.8,
    "num_parallel_tree": 100,
}
ITERATIONS = 20
"""MAX_ITERATIONS of boosted trees. A forest has one iteration, of all its trees."""
MIN_REL_PROGRESS = 0.01
"""EARLY_STOP ends the training after an iteration whose loss is not lower by this share."""


def train_trees(
    model: Model, examples: Examples, rows: Split, *, report: ReportStage
) -> tuple[dict[str, bytes], "BoosterSession", str]:
    """Train on the split's training rows, and report every iteration. The same rows give the same model.

    Returns the files of the export, the version as it is served, and one fact about the training. Raises
    PermanentError for a string that an export cannot hold.
    """
    import numpy as np
    import xgboost

    from workers.platforms.serving.booster import session_of

    classes = [str(name) for name in np.unique(examples.labels)] if is_classifier(model) else []
    files = _description(model, examples, rows.train, classes)
    booster, note = _train(model, _matrices(model, files, examples, rows, classes), len(classes), report)
    with xgboost.config_context(verbosity=0):  # the format that BigQuery ML exports has a warning
        files["model.bst"] = bytes(booster.save_raw(raw_format="deprecated"))
    return files, session_of(files), note


def outputs(session: "BoosterSession", features: tuple[Feature, ...], frame: "pd.DataFrame") -> "list[Tensor]":
    """Return the predicted values and, for a classifier, the probabilities, as the endpoint computes them."""
    return session.run([], {feature.name: frame[[feature.name]].to_numpy() for feature in features})


def _description(model: Model, examples: Examples, rows: "Array", classes: list[str]) -> dict[str, bytes]:
    """Return the metadata and the vocabularies of the export, by file name."""
    files: dict[str, bytes] = {}
    described: dict[str, dict[str, object]] = {}
    for number, feature in enumerate(examples.features):
        column = examples.frame[feature.name].iloc[rows]
        if feature.type == "STRING":
            words = sorted(set(column))
            if broken := [word for word in words if word.splitlines() not in ([word], [])]:
                problem = f'the column "{feature.name}" has a string with a line break: {broken[0]!r:.60}.'
                raise query_error(model, problem, "Replace line breaks: REPLACE(…, '\\n', ' ').")
            described[feature.name] = {"encode_type": "categorical_label"}
            files[f"assets/{number}_categorical_label.txt"] = "".join(f"{word}\n" for word in words).encode()
        else:
            statistics = {name: float(getattr(column, name)()) for name in ("mean", "min", "max")}
            described[feature.name] = statistics | {"std": float(column.std(ddof=0)), "type": feature.type}
    document = {
        "model_type": model.type,
        "label_col": model.label,
        "class_names": classes,
        "feature_names": [feature.name for feature in examples.features],
        "features": described,
    }
    return files | {"assets/model_metadata.json": (json.dumps(document, indent=2) + "\n").encode()}


def _matrices(
    model: Model, files: dict[str, bytes], examples: Examples, rows: Split, classes: list[str]
) -> tuple[Any, Any]:
    """Return the training and the evaluation rows in XGBoost's form."""
    import numpy as np
    import xgboost

    from workers.platforms.serving.booster import read_encoders

    encoders = read_encoders(files)
    columns = [
        encoder.columns(examples.frame[[feature.name]].to_numpy())
        for feature, encoder in zip(examples.features, encoders, strict=True)
    ]
    inputs = np.hstack(columns)
    labels = np.searchsorted(classes, examples.labels) if classes else examples.labels
    weights = row_weights(model, examples.labels) if classes else None
    train, evaluate = (
        xgboost.DMatrix(
            inputs[chosen], labels[chosen], weight=None if weights is None else weights[chosen], nthread=THREADS
        )
        for chosen in (rows.train, rows.evaluate)
    )
    return train, evaluate


def _train(model: Model, matrices: tuple[Any, Any], classes: int, report: ReportStage) -> tuple[Any, str]:
    import xgboost

    is_forest = model.type.startswith("random_forest")
    iterations = 1 if is_forest else model.options.get("max_iterations", ITERATIONS)
    least = model.options.get("min_rel_progress", MIN_REL_PROGRESS) if model.options.get("early_stop", True) else None
    progress = _progress(report, iterations, least)
    objective = {"objective": "multi:softprob", "num_class": classes} if classes else {"objective": "reg:squarederror"}
    parameters: dict[str, Any] = {
        **_DEFAULTS,
        **(_FOREST if is_forest else {}),
        **xgboost_parameters(model),
        **objective,
        "nthread": THREADS,
        "seed": SEED,
    }
    report(0, iterations, "first iteration")
    with xgboost.config_context(verbosity=0):
        booster = xgboost.train(
            parameters,
            matrices[0],
            num_boost_round=iterations,
            evals=[(matrices[1], "evaluation")],
            callbacks=[progress],
            verbose_eval=False,
        )
    trees = booster.num_boosted_rounds() * max(classes, 1) * int(parameters["num_parallel_tree"])
    return booster, f"{trees:,} trees, {progress.note}"


def _progress(report: ReportStage, iterations: int, least: float | None) -> Any:
    """Return a callback of XGBoost that reports each iteration, and stops if the loss sinks by less than `least`."""
    import xgboost

    class Progress(xgboost.callback.TrainingCallback):
        note = ""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            ((_, losses),) = evals_log["evaluation"].items()
            report(epoch + 1, iterations, f"iteration {epoch + 1}, loss {losses[-1]:.4g}")
            self.note = f"{show_count(epoch + 1, 'iteration')}, final loss {losses[-1]:.4g}"
            return least is not None and len(losses) > 1 and losses[-2] - losses[-1] < least * losses[-2]

    return Progress()
