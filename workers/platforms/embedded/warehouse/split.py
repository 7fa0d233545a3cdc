"""Rows for training and for evaluation, as BigQuery ML splits them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.warehouse.features import Examples, is_classifier

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[np.intp]]
    Flags = np.ndarray[Any, Any]

EVAL_FRACTION = 0.2
"""DATA_SPLIT_EVAL_FRACTION's default."""
SEED = 0
"""Fixed, to get the same split and model from the same rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Row numbers for training and for evaluation. They are equal if no rows are held out."""

    train: "Array"
    evaluate: "Array"
    note: str


def split(model: Model, examples: Examples) -> Split:
    """Choose rows as DATA_SPLIT_METHOD says; without it as AUTO_SPLIT does.

    AUTO_SPLIT holds out 0 below 500 rows, 20 % up to 50,000 rows, 10,000 rows above. RANDOM holds out
    DATA_SPLIT_EVAL_FRACTION, SEQ that share of the greatest values of DATA_SPLIT_COL, CUSTOM the rows where it is TRUE.
    For a classifier, random rows are taken from each class in proportion, to keep every class in the training.
    Raises PermanentError if no row is left for the training or for the evaluation.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-glm#data_split_method
    """
    import numpy as np

    count = len(examples.labels)
    method = model.options.get("data_split_method", "AUTO_SPLIT")
    fraction = model.options.get("data_split_eval_fraction", EVAL_FRACTION)
    if method == "NO_SPLIT" or (method == "AUTO_SPLIT" and count < 500):
        why = "none are held out" if method == "NO_SPLIT" else "under 500 rows none are held out"
        every = np.arange(count)
        return Split(train=every, evaluate=every, note=f"on the {count} training rows: {why}")
    if method == "AUTO_SPLIT":
        held = _random(examples, 0.2 if count <= 50_000 else 10_000 / count, classify=is_classifier(model))
    elif method == "RANDOM":
        held = _random(examples, fraction, classify=is_classifier(model))
    else:
        assert examples.split_by is not None  # features.py fetches the column
        held = examples.split_by == 1 if method == "CUSTOM" else _greatest(examples.split_by, fraction)
    evaluate, train = np.flatnonzero(held), np.flatnonzero(~held)
    if not len(evaluate) or not len(train):
        which = "evaluation" if len(train) else "training"
        raise PermanentError(
            f"models.{model.name}.options: data_split_method {method} leaves no row for the {which}.",
            advice="Change data_split_eval_fraction or data_split_col, or use NO_SPLIT.",
        )
    return Split(train=train, evaluate=evaluate, note=f"on {len(evaluate):,} rows held out")


def _random(examples: Examples, fraction: float, *, classify: bool) -> "Flags":
    import numpy as np

    count = len(examples.labels)
    shuffled = np.random.default_rng(SEED).permutation(count)
    groups = examples.labels[shuffled] if classify else np.zeros(count)
    held = np.zeros(count, dtype=bool)
    for group in np.unique(groups):
        members = shuffled[groups == group]
        held[members[: int(len(members) * fraction)]] = True
    return held


def _greatest(values: "Flags", fraction: float) -> "Flags":
    """Return which values are above the quantile 1 - `fraction`. NaN, a missing value, is not."""
    import numpy as np

    return np.asarray(values > np.nanquantile(values, 1 - fraction, method="lower"))
