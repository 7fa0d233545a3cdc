"""A boosted tree model as BigQuery ML exports it: the booster, and what turns a request's values into its columns.

    model.bst                            XGBoost's own file, of the version BigQuery ML trains with (0.82, 0.9, 1.1)
    assets/model_metadata.json           model_type, label_col, class_names, feature_names, features: encode_type, mean
    assets/N_categorical_label.txt       feature N's vocabulary, one a line: its index is the column (also N.txt, older)
    assets/N_categorical_one_hot.txt     feature N's vocabulary: a column each
    assets/N_categorical_target.txt      "word,number,…" a line: the numbers are the columns

https://cloud.google.com/bigquery/docs/exporting-models names the files; what is in them and how it is used is said by
the predictor that Google publishes for them, xgboost_predictor in https://github.com/GoogleCloudPlatform/bigquery-ml-utils.
The main.py and the package that lie beside them are never run. Features that are arrays, and a TRANSFORM clause, are
refused: they take more than one value, or TensorFlow.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from workers.platforms.serving.signature import Input, Signature, Task, UnusableModel
from workers.platforms.serving.tensors import Tensor

MODEL_FILE = "model.bst"
METADATA_FILE = "assets/model_metadata.json"

_TASKS = {
    "boosted_tree_classifier": "classification",
    "random_forest_classifier": "classification",
    "boosted_tree_regressor": "regression",
    "random_forest_regressor": "regression",
}
_ASSET = re.compile(r"(\d+)(?:_(\w+))?\.txt")
_NUMERIC = ("", "numerical_identity")

# Names of encodings in the names of assets; the nameless one is older exports' label encoding.
_LABEL, _ONE_HOT, _TARGET = ("categorical_label", "categorical_one_hot", "categorical_target")


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A number as it is; a missing one (NaN) is the mean of those that were trained on, 0 where an export says none."""

    mean: float
    width: int = 1

    def columns(self, values: Tensor) -> Tensor:
        """One column."""
        numbers = values.astype(numpy.float32)
        return numpy.where(numpy.isnan(numbers), numpy.float32(self.mean), numbers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """A word as the numbers that stand for it; one that was never seen is missing, which the trees know a way for."""

    numbers: Mapping[str, tuple[float, ...]]
    width: int

    def columns(self, values: Tensor) -> Tensor:
        """`width` columns."""
        unseen = (numpy.nan,) * self.width
        rows = [self.numbers.get(word, unseen) for word in values.reshape(-1)]
        return numpy.array(rows, dtype=numpy.float32).reshape(-1, self.width)


class BoosterSession:
    """A loaded booster: Servable's Session."""

    def __init__(self, booster: Any, signature: Signature, encoders: Sequence[Number | Category]) -> None:
        self._booster = booster
        self._signature = signature
        self._encoders = encoders

    def run(self, outputs: Sequence[str], feed: Mapping[str, Tensor]) -> list[Tensor]:
        """The predicted value of each instance, and for a classifier each class's probability."""
        columns = [
            encoder.columns(feed[item.name])
            for item, encoder in zip(self._signature.inputs, self._encoders, strict=True)
        ]
        answer: Tensor = self._booster.inplace_predict(numpy.hstack(columns), missing=numpy.nan)
        if self._signature.task == "regression":
            return [answer.reshape(-1, 1)]
        probabilities = answer.reshape(-1, len(self._signature.classes))
        classes = numpy.array(self._signature.classes, dtype=numpy.object_)
        return [classes[probabilities.argmax(axis=1)], probabilities]


def is_booster(folder: Path) -> bool:
    """Whether `folder` is an export of BigQuery ML's boosted trees."""
    return (folder / MODEL_FILE).exists()


def load_booster(folder: Path) -> tuple[Signature, BoosterSession]:
    """The model in `folder`. Raises UnusableModel, also for what the predictor's source leaves open."""
    if (folder / "transform").exists():
        raise UnusableModel(f"{folder} was trained with a TRANSFORM clause, which only TensorFlow can apply.")
    metadata = _metadata(folder / METADATA_FILE)
    try:
        signature, encoders = _described(metadata, _assets(folder / "assets"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnusableModel(f"{folder / METADATA_FILE} and the assets beside it do not fit: {error!r}.") from error
    booster = _load(folder / MODEL_FILE)
    _check_agreement(booster, signature, sum(encoder.width for encoder in encoders))
    return signature, BoosterSession(booster, signature, encoders)


def _metadata(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UnusableModel(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UnusableModel(f"{path} is not JSON: {error}.") from error


def _assets(folder: Path) -> Mapping[int, Mapping[str, Sequence[str]]]:
    """TensorFeature's index → encoding → lines. The split is Python's, as it is in the predictor."""
    found: dict[int, dict[str, Sequence[str]]] = {}
    for path in sorted(folder.glob("*.txt")):
        if match := _ASSET.fullmatch(path.name):
            lines = path.read_text(encoding="utf-8").splitlines()
            found.setdefault(int(match[1]), {})[match[2] or _LABEL] = lines
    return found


def _described(
    metadata: Any, assets: Mapping[int, Mapping[str, Sequence[str]]]
) -> tuple[Signature, list[Number | Category]]:
    if metadata["model_type"] not in _TASKS:
        raise UnusableModel(f"A model of type {metadata['model_type']!r} is not served; {', '.join(_TASKS)} are.")
    names = [str(name) for name in metadata["feature_names"]]
    encoders = [_encoder(name, metadata["features"][name], assets.get(index, {})) for index, name in enumerate(names)]
    classification = _TASKS[metadata["model_type"]] == "classification"
    classes = tuple(str(name) for name in metadata["class_names"]) if classification else ()
    if not names or (classification and not classes):
        raise ValueError("it names no features, or no classes")
    inputs = tuple(
        Input(name=name, type="FLOAT" if isinstance(encoder, Number) else "STRING")
        for name, encoder in zip(names, encoders, strict=True)
    )
    task: Task = "classification" if classification else "regression"
    return Signature(label=str(metadata["label_col"]), task=task, inputs=inputs, classes=classes), encoders


def _encoder(name: str, feature: Mapping[str, Any], assets: Mapping[str, Sequence[str]]) -> Number | Category:
    """By the asset that is there, in the predictor's order: `encode_type` is not in every older export."""
    if _ONE_HOT in assets:
        words = assets[_ONE_HOT]
        return Category(
            numbers={word: _one_of(len(words), index) for index, word in enumerate(words)}, width=len(words)
        )
    if _TARGET in assets:
        return _target(assets[_TARGET])
    if _LABEL in assets:
        return Category(numbers={word: (float(index),) for index, word in enumerate(assets[_LABEL])}, width=1)
    if "mean" not in feature and (encoding := str(feature.get("encode_type") or "")) not in _NUMERIC:
        raise UnusableModel(
            f"TensorFeature {name} is encoded by {encoding}, which is not served, or its asset is missing."
        )
    return Number(mean=float(feature.get("mean", 0.0)))


def _one_of(width: int, index: int) -> tuple[float, ...]:
    # Beside the one there are missing values, not zeros.
    return tuple(1.0 if at == index else numpy.nan for at in range(width))


def _target(lines: Sequence[str]) -> Category:
    rows = {}
    for line in lines:
        word, *numbers = line.split(",")
        found = tuple(float(number) for number in numbers)
        # Of several classes a zero is a missing value.
        rows[word] = tuple(numpy.nan if number == 0 else number for number in found) if len(found) > 1 else found
    (width,) = {len(row) for row in rows.values()}
    return Category(numbers=rows, width=width)


def _load(path: Path) -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise UnusableModel(
            f"{path} needs the package xgboost-cpu below 3.1, the last that reads what BigQuery ML exports."
        ) from error
    try:
        # One core a replica: an endpoint grows by replicas, not by threads.
        with xgboost.config_context(verbosity=0):
            return xgboost.Booster(params={"nthread": 1}, model_file=path)
    except xgboost.core.XGBoostError as error:
        raise UnusableModel(f"{path} cannot be loaded: {str(error).strip().splitlines()[0]}") from error


def _check_agreement(booster: Any, signature: Signature, width: int) -> None:
    if booster.num_features() != width:
        raise UnusableModel(f"The booster takes {booster.num_features()} columns, but its assets make {width}.")
    found = int(json.loads(booster.save_config())["learner"]["learner_model_param"]["num_class"])
    if found != len(signature.classes):
        raise UnusableModel(
            f"The booster answers for {found} classes, but its metadata names {len(signature.classes)}."
        )
