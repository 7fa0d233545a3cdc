"""Rows for training and for evaluation, as BigQuery ML splits them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.platforms.embedded.warehouse.features import Examples

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[np.intp]]

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
