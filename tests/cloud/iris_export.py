"""Boosted trees for the irises in BigQuery ML's export format; https://cloud.google.com/bigquery/docs/exporting-models."""

import json
from pathlib import Path

import numpy
import xgboost
from sklearn.datasets import load_iris

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def iris_export(folder: Path) -> dict[str, bytes]:
    """Return the files by name. `folder` is for temporary files."""
    irises = load_iris()
    parameters = {"objective": "multi:softprob", "num_class": len(irises.target_names), "max_depth": 3}
    booster = xgboost.train(parameters, xgboost.DMatrix(irises.data, irises.target), num_boost_round=10)
    path = folder / "model.deprecated"  # XGBoost's format of before its version 1.6, which is what BigQuery ML writes
    with xgboost.config_context(verbosity=0):
        booster.save_model(path)
    means = numpy.mean(irises.data, axis=0)
    metadata = {
        "model_type": "boosted_tree_classifier",
        "label_col": "species",
        "class_names": list(irises.target_names),
        "feature_names": FEATURES,
        "features": {name: {"mean": float(mean)} for name, mean in zip(FEATURES, means, strict=True)},
    }
    return {"model.bst": path.read_bytes(), "assets/model_metadata.json": json.dumps(metadata).encode()}
