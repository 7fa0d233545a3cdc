"""Boosted trees of BigQuery ML are served from the files of its export."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
import xgboost

from workers.contract.settings import Model
from workers.platforms.serving.servable import Servable
from workers.platforms.serving.signature import UnusableModel
from workers.platforms.serving.tensors import InvalidRequest
from workers.platforms.smoke_test import expected_signature, predict_once

ROOT = Path(__file__).parents[2]
WORDS = ("_null_filler", "green", "red")
RED: dict[str, str | float] = {"size": 2.0, "colour": "red"}


def export(folder: Path, *, encoding: str = "categorical_label", asset: str | None = None, **changes: Any) -> Path:
    """Write an export of a fruit classifier as BigQuery ML does; `changes` are applied to the metadata.

    The trees learn the columns of the encoding: red of size 2 is an apple, green is a pear.
    """
    lines, one = {
        "categorical_label": (WORDS, {"green": (1.0,), "red": (2.0,)}),
        "categorical_one_hot": (WORDS, {"green": (numpy.nan, 1.0, numpy.nan), "red": (numpy.nan, numpy.nan, 1.0)}),
        "categorical_target": (
            ("green, 0.25, 0.75", "red, 1.0, 0.0"),
            {"green": (0.25, 0.75), "red": (1.0, numpy.nan)},
        ),
    }[encoding]
    metadata = {
        "model_type": "boosted_tree_classifier",
        "label_col": "fruit",
        "class_names": ["pear", "apple"],
        "feature_names": ["size", "colour"],
        "features": {"size": {"mean": 2.0, "min": 1, "max": 3, "std": 1}, "colour": {"encode_type": encoding}},
        **changes,
    }
    rows = [(size, *one[colour]) for size in (1.0, 2.0, 3.0) for colour in ("green", "red")]
    labels = [float(colour == "red" and size >= 2) for size in (1.0, 2.0, 3.0) for colour in ("green", "red")]
    classifier = "classifier" in str(metadata["model_type"])
    objective = {"objective": "multi:softprob", "num_class": 2} if classifier else {"objective": "reg:squarederror"}
    parameters = {**objective, "min_child_weight": 0, "lambda": 0, "max_depth": 3}
    booster = xgboost.train(parameters, xgboost.DMatrix(numpy.array(rows), numpy.array(labels)), num_boost_round=20)
    (folder / "assets").mkdir(parents=True)
    # XGBoost's format before version 1.6, which BigQuery ML writes.
    with xgboost.config_context(verbosity=0):
        booster.save_model(folder / "model.deprecated")
    (folder / "model.deprecated").rename(folder / "model.bst")
    (folder / "main.py").write_text("raise SystemExit('never run')")
    (folder / "assets" / "model_metadata.json").write_text(json.dumps(metadata))
    (folder / "assets" / (asset or f"1_{encoding}.txt")).write_text("\n".join(lines) + "\n")
    return folder


def predictions(folder: Path, *instances: object) -> Any:
    return json.loads(Servable(folder).predict(json.dumps({"instances": instances}).encode()))["predictions"]


@pytest.mark.parametrize(
    ("encoding", "asset"),
    [
        ("categorical_label", None),
        ("categorical_label", "1.txt"),
        ("categorical_one_hot", None),
        ("categorical_target", None),
    ],
)
def test_booster_classifier_has_the_outputs_of_a_saved_model(tmp_path: Path, encoding: str, asset: str | None) -> None:
    folder = export(tmp_path / "model", encoding=encoding, asset=asset)
    red, green = predictions(folder, RED, {"size": 2.0, "colour": "green"})
    assert (red["predicted_fruit"], green["predicted_fruit"]) == (["apple"], ["pear"])
    assert red["fruit_values"] == ["pear", "apple"]
    assert red["fruit_probs"][1] > 0.9
    assert sum(red["fruit_probs"]) == pytest.approx(1, abs=1e-6)


def test_booster_regressor_has_one_number_per_instance(tmp_path: Path) -> None:
    folder = export(tmp_path / "model", model_type="boosted_tree_regressor")
    assert predictions(folder, RED, {"size": 1.0, "colour": "red"}) == [
        [pytest.approx(1, abs=0.05)],
        [pytest.approx(0, abs=0.05)],
    ]


def test_unseen_word_is_a_missing_value(tmp_path: Path) -> None:
    folder = export(tmp_path / "model")
    (blue,) = predictions(folder, {"size": 3.0, "colour": "blue"})
    assert sum(blue["fruit_probs"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_missing_number_is_replaced_by_the_mean(tmp_path: Path, missing: object) -> None:
    """As in Google's predictor, which takes "" for it; alone, among others, and in a column."""
    folder = export(tmp_path / "model")
    first, mean, small = predictions(folder, {"size": missing, "colour": "red"}, RED, {"size": 1.0, "colour": "red"})
    assert first == mean != small
    assert predictions(folder, {"size": missing, "colour": "red"}) == [mean]
    inputs = {"size": [1.0, missing], "colour": ["red", "red"]}
    answer = json.loads(Servable(folder).predict(json.dumps({"inputs": inputs}).encode()))
    assert answer["outputs"]["fruit_probs"] == [small["fruit_probs"], mean["fruit_probs"]]


def test_null_is_a_word_that_was_never_seen(tmp_path: Path) -> None:
    folder = export(tmp_path / "model")
    null, unseen = predictions(folder, {"size": 2.0, "colour": None}, {"size": 2.0, "colour": "blue"})
    assert null == unseen
    assert predictions(folder, {"size": 2.0, "colour": None}) == [null]


@pytest.mark.parametrize(("value", "reason"), [(True, "Type: True"), (1, "Type: Number")])
def test_word_must_be_a_string(tmp_path: Path, value: object, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{reason} is not of expected type: string"):
        predictions(export(tmp_path / "model"), {"size": 2.0, "colour": value})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "boosted_tree_cox"}, "'boosted_tree_cox' is not served"),
        ({"class_names": ["apple", "pear", "plum"]}, "has 2 classes, but its metadata names 3"),
        ({"feature_names": ["size", "colour", "ripe"]}, "do not fit: KeyError"),
        ({"feature_names": []}, "names no features"),
        ({"feature_names": ["size"]}, "takes 2 columns, but its assets make 1"),
        ({"label_col": None, "features": []}, "do not fit"),
    ],
)
def test_inconsistent_metadata_is_refused_at_load(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableModel, match=reason):
        Servable(export(tmp_path / "model", **changes))


def test_array_feature_is_refused(tmp_path: Path) -> None:
    folder = export(tmp_path / "model", asset="1_array_one_hot.txt")
    with pytest.raises(UnusableModel, match="Feature colour is encoded by categorical_label, which is not served"):
        Servable(folder)


def test_transform_clause_is_refused(tmp_path: Path) -> None:
    (export(tmp_path / "model") / "transform").mkdir()
    with pytest.raises(UnusableModel, match="TRANSFORM clause"):
        Servable(tmp_path / "model")


def test_damaged_booster_is_refused(tmp_path: Path) -> None:
    (export(tmp_path / "model") / "model.bst").write_bytes(b"no model")
    with pytest.raises(UnusableModel, match=r"model\.bst cannot be loaded"):
        Servable(tmp_path / "model")


@contextmanager
def container(models: Path, name: str) -> Iterator[str]:
    """Start the process as an image does, configured by its environment. Yield its address or error message."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.platforms.serving"],
        cwd=ROOT,
        env={**os.environ, "MODEL_BASE_PATH": str(models), "MODEL_NAME": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        word, _, address = process.stdout.readline().strip().partition(" ")
        yield address if word == "ready" else process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_container_serves_the_newest_version(tmp_path: Path) -> None:
    shutil.copytree(export(tmp_path / "fruit" / "2"), tmp_path / "fruit" / "10")
    (tmp_path / "fruit" / "staging").mkdir()
    model = Model(name="fruit", type="boosted_tree_classifier", label="fruit", query="SELECT 1", sample=(RED,))
    with container(tmp_path, "fruit") as address:
        with urllib.request.urlopen(f"{address}/v1/models/fruit", timeout=60) as response:
            assert json.load(response)["model_version_status"][0]["version"] == "10"
        fact = predict_once(
            address, model="fruit", version=10, sample=model.sample, signature=expected_signature(model)
        )
    assert fact.startswith("apple 1.00 in ")


def test_container_without_a_model_names_the_folder(tmp_path: Path) -> None:
    with container(tmp_path, "fruit") as error:
        assert error == f"{tmp_path}/fruit has no version of a model: a folder named by a number.\n"
