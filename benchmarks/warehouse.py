"""The warehouse on this machine: translation of a long query, and training of trees beside scikit-learn's."""

import time
from dataclasses import replace

import numpy as np

from benchmarks.table import Row, percentile, show
from workers.contract.settings import Model
from workers.platforms.embedded.warehouse.features import Examples, Feature
from workers.platforms.embedded.warehouse.split import Split
from workers.platforms.embedded.warehouse.sql import read_query
from workers.platforms.embedded.warehouse.tables import open_database
from workers.platforms.embedded.warehouse.trees import train_trees

GOAL_TRANSLATION_MS = 150.0
GOAL_TRAINING_RATIO = 0.2
ROWS, COLUMNS = 20_000, 20
TRANSLATIONS = 20
WARM_UP = Split(train=np.arange(80), evaluate=np.arange(80, 100), note="")


def run() -> None:
    """Measure and print a table."""
    translated_ms = _translate()
    ours_s, theirs_s = _train()
    ratio = ours_s / theirs_s
    show(
        f"warehouse: a query of 200 lines, and boosted trees on {ROWS:,} × {COLUMNS} numbers",
        [
            Row(
                what="translation, p50",
                measured=f"{percentile(translated_ms, 50):.0f} ms",
                goal=f"≤ {GOAL_TRANSLATION_MS:g} ms",
                reached=percentile(translated_ms, 50) <= GOAL_TRANSLATION_MS,
            ),
            Row(
                what="training",
                measured=f"{ours_s:.2f} s",
                compared=f"scikit-learn {theirs_s:.2f} s",
                ratio=ratio,
                goal=f"≤ {GOAL_TRAINING_RATIO:g}",
                reached=ratio <= GOAL_TRAINING_RATIO,
            ),
        ],
    )


def long_query() -> str:
    """Return a query of 200 lines with a function, an operator and a condition on each."""
    lines = [f"  IF(v > {n}, ROUND(v / {n}, 2), NULL) AS x{n}," for n in range(1, 198)]
    return "\n".join(["SELECT", *lines, "  v AS y", "FROM UNNEST([1, 2, 3]) AS v"])


def _translate() -> list[float]:
    measured = []
    for _ in range(TRANSLATIONS):
        with open_database() as connection:
            begun = time.perf_counter()
            read_query(connection, long_query(), files={})
            measured.append((time.perf_counter() - begun) * 1000)
    return measured[1:]


def _train() -> tuple[float, float]:
    """Return the seconds of our training and of scikit-learn's, with the same depth, rate and number of iterations."""
    import pandas as pd
    from sklearn.ensemble import GradientBoostingClassifier

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{at}": rng.normal(size=ROWS) for at in range(COLUMNS)})
    labels = np.where(frame["x0"] * frame["x1"] + rng.normal(size=ROWS) > 0, "yes", "no")
    features = tuple(Feature(name=name, type="DOUBLE") for name in frame.columns)
    examples = Examples(features=features, frame=frame, labels=labels, unlabelled=0)
    cut = ROWS * 4 // 5
    rows = Split(train=np.arange(cut), evaluate=np.arange(cut, ROWS), note="")
    options = {"early_stop": False}
    model = Model(
        NAME="m", type="boosted_tree_classifier", label="y", query="SELECT 1", sample=({"x0": 1.0},), options=options
    )
    train_trees(model, replace(examples, frame=frame.head(100), labels=labels[:100]), WARM_UP, report=lambda *_: None)
    begun = time.perf_counter()
    train_trees(model, examples, rows, report=lambda *_: None)
    middle = time.perf_counter()
    other = GradientBoostingClassifier(n_estimators=20, learning_rate=0.3, max_depth=6)
    other.fit(frame.iloc[rows.train].to_numpy(), labels[rows.train])
    return middle - begun, time.perf_counter() - middle
