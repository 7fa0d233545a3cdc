"""Boosted tree models as BigQuery ML exports them: the booster, and the encoders from request values to its columns.

    model.bst                            XGBoost's file, of the version that BigQuery ML trains with (0.82, 0.9, 1.1)
    assets/model_metadata.json           model_type, label_col, class_names, feature_names, features: encode_type, mean
                                         (and "type": "BOOL", in exports of the warehouse on this machine)
    assets/N_categorical_label.txt       vocabulary of feature N, one word per line; the column holds the word's index.
                                         Older exports call it N.txt
    assets/N_categorical_one_hot.txt     vocabulary of feature N: one column per word
    assets/N_categorical_target.txt      "word,number,…" per line: the numbers are the columns

https://cloud.google.com/bigquery/docs/exporting-models names the files. Their contents and use follow Google's
predictor, xgboost_predictor in https://github.com/GoogleCloudPlatform/bigquery-ml-utils. The exported main.py and
package are never run. Array features and TRANSFORM clauses are refused: they need several values, or TensorFlow.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from workers.platforms.serving.signature import (
    Input,
    InputType,
    Signature,
    Task,
    UnusableModel,
    read_json,
    read_signature,
)
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

# Encodings as they appear in asset names. In older exports, an asset without one is label-encoded.
_LABEL, _ONE_HOT, _TARGET = ("categorical_label", "categorical_one_hot", "categorical_target")


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberEncoder:
    """Encoder that keeps a number. NaN becomes the mean of the training data, or 0 if the export has no mean.

    The predictor does so for "", the missing value of requests; here, null is one, too.
    """

    mean: float
    width: int = 1

    def columns(self, values: Tensor) -> Tensor:
        with numpy.errstate(over="ignore"):  # trees compare float32: a larger number is an infinity to them
            numbers = values.astype(numpy.float32)
        return numpy.where(numpy.isnan(numbers), numpy.float32(self.mean), numbers)


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryEncoder:
    """Encoder from a word to its numbers. An unseen word becomes a missing value, which the trees can handle."""

    numbers: Mapping[str, tuple[float, ...]]
    width: int

    def columns(self, values: Tensor) -> Tensor:
        """Return `width` columns."""
        unseen = (numpy.nan,) * self.width
        rows = [self.numbers.get(word, unseen) for word in values.reshape(-1)]
        return numpy.array(rows, dtype=numpy.float32).reshape(-1, self.width)


Encoder = NumberEncoder | CategoryEncoder


@dataclass(frozen=True, slots=True)
class BoosterSession:
    """A loaded booster."""

    booster: Any
    signature: Signature
    encoders: Sequence[Encoder]

    def run(self, outputs: Sequence[str], feed: Mapping[str, Tensor]) -> list[Tensor]:
        """Return each instance's predicted value and, for a classifier, the probability of each class."""
        inputs = zip(self.signature.inputs, self.encoders, strict=True)
        columns = [encoder.columns(feed[item.name]) for item, encoder in inputs]
        predicted: Tensor = self.booster.inplace_predict(numpy.hstack(columns), missing=numpy.nan)
        if self.signature.task == "regression":
            return [predicted.reshape(-1, 1)]
        probabilities = predicted.reshape(-1, len(self.signature.classes))
        classes = numpy.array(self.signature.classes, dtype=numpy.object_)
        return [classes[probabilities.argmax(axis=1)], probabilities]


def read_encoders(files: Mapping[str, bytes]) -> Sequence[Encoder]:
    """Return the encoders of an export whose files are in memory, by their names."""
    return _interpret(json.loads(files[METADATA_FILE]), _assets(_texts(files)))[1]


def session_of(files: Mapping[str, bytes]) -> BoosterSession:
    """Load an export whose files are in memory."""
    import xgboost

    signature, encoders = _interpret(json.loads(files[METADATA_FILE]), _assets(_texts(files)))
    with xgboost.config_context(verbosity=0):
        booster = xgboost.Booster(params={"nthread": 1}, model_file=bytearray(files[MODEL_FILE]))
    return BoosterSession(booster, signature, encoders)


def read_signature_of(folder: Path) -> Signature:
    """Read the signature of the model in `folder`, which may be a booster. Raises UnusableModel."""
    return _describe(folder)[0] if is_booster(folder) else read_signature(folder)


def is_booster(folder: Path) -> bool:
    """Return True if `folder` is BigQuery ML's export of boosted trees."""
    return (folder / MODEL_FILE).exists()


def load_booster(folder: Path) -> tuple[Signature, Callable[[Sequence[str], Mapping[str, Tensor]], list[Tensor]]]:
    """Load the model in `folder`. Raises UnusableModel, also for features that Google's predictor leaves undefined."""
    if (folder / "transform").exists():
        raise UnusableModel(f"{folder} was trained with a TRANSFORM clause, which only TensorFlow can apply.")
    signature, encoders = _describe(folder)
    booster = _load(folder / MODEL_FILE)
    _check_agreement(booster, signature, sum(encoder.width for encoder in encoders))
    return signature, BoosterSession(booster, signature, encoders).run


def _describe(folder: Path) -> tuple[Signature, list[Encoder]]:
    metadata = read_json(folder / METADATA_FILE)
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / "assets").glob("*.txt"))}
    try:
        return _interpret(metadata, _assets(texts))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnusableModel(f"{folder / METADATA_FILE} and the assets beside it do not fit: {error!r}.") from error


def _texts(files: Mapping[str, bytes]) -> Mapping[str, str]:
    return {name.removeprefix("assets/"): files[name].decode() for name in files if name.endswith(".txt")}


def _assets(texts: Mapping[str, str]) -> Mapping[int, Mapping[str, Sequence[str]]]:
    """Return feature index → encoding → lines. The predictor splits lines with Python's splitlines, too."""
    found: dict[int, dict[str, Sequence[str]]] = {}
    for name, text in texts.items():
        if match := _ASSET.fullmatch(name):
            found.setdefault(int(match[1]), {})[match[2] or _LABEL] = text.splitlines()
    return found


def _interpret(metadata: Any, assets: Mapping[int, Mapping[str, Sequence[str]]]) -> tuple[Signature, list[Encoder]]:
    if metadata["model_type"] not in _TASKS:
        raise UnusableModel(f"A model of type {metadata['model_type']!r} is not served; {', '.join(_TASKS)} are.")
    names = [str(name) for name in metadata["feature_names"]]
    encoders = [_encoder(name, metadata["features"][name], assets.get(index, {})) for index, name in enumerate(names)]
    classification = _TASKS[metadata["model_type"]] == "classification"
    classes = tuple(str(name) for name in metadata["class_names"]) if classification else ()
    if not names or (classification and not classes):
        raise ValueError("it names no features, or no classes")
    inputs = tuple(
        Input(name=name, type=(kind := _input_type(metadata["features"][name], encoder)), nullable=kind != "BOOL")
        for name, encoder in zip(names, encoders, strict=True)
    )
    task: Task = "classification" if classification else "regression"
    return Signature(label=str(metadata["label_col"]), task=task, inputs=inputs, classes=classes), encoders


def _input_type(feature: Mapping[str, Any], encoder: Encoder) -> InputType:
    if isinstance(encoder, CategoryEncoder):
        return "STRING"
    return "BOOL" if feature.get("type") == "BOOL" else "DOUBLE"


def _encoder(name: str, feature: Mapping[str, Any], assets: Mapping[str, Sequence[str]]) -> Encoder:
    """Choose by the asset, in the predictor's order: older exports may lack `encode_type`."""
    if _ONE_HOT in assets:
        width = len(assets[_ONE_HOT])
        numbers = {word: _one_hot(width, index) for index, word in enumerate(assets[_ONE_HOT])}
        return CategoryEncoder(numbers=numbers, width=width)
    if _TARGET in assets:
        return _target(assets[_TARGET])
    if _LABEL in assets:
        return CategoryEncoder(numbers={word: (float(index),) for index, word in enumerate(assets[_LABEL])}, width=1)
    if "mean" not in feature and (encoding := str(feature.get("encode_type") or "")) not in _NUMERIC:
        raise UnusableModel(f"Feature {name} is encoded by {encoding}, which is not served, or its asset is missing.")
    return NumberEncoder(mean=float(feature.get("mean", 0.0)))


def _one_hot(width: int, index: int) -> tuple[float, ...]:
    # The other columns are missing values, not zeros.
    return tuple(1.0 if at == index else numpy.nan for at in range(width))


def _target(lines: Sequence[str]) -> CategoryEncoder:
    rows = {}
    for line in lines:
        word, *numbers = line.split(",")
        found = tuple(float(number) for number in numbers)
        # With several classes, a zero stands for a missing value.
        rows[word] = tuple(numpy.nan if number == 0 else number for number in found) if len(found) > 1 else found
    (width,) = {len(row) for row in rows.values()}
    return CategoryEncoder(numbers=rows, width=width)


def _load(path: Path) -> Any:
    try:
        import xgboost
    except ImportError as error:
        needed = "the package xgboost-cpu below 3.1, the last that reads BigQuery ML's exports"
        raise UnusableModel(f"{path} needs {needed}.") from error
    try:
        # One core per replica: an endpoint scales by replicas, not threads.
        with xgboost.config_context(verbosity=0):
            return xgboost.Booster(params={"nthread": 1}, model_file=path)
    except xgboost.core.XGBoostError as error:
        raise UnusableModel(f"{path} cannot be loaded: {str(error).strip().splitlines()[0]}") from error


def _check_agreement(booster: Any, signature: Signature, width: int) -> None:
    if booster.num_features() != width:
        raise UnusableModel(f"The booster takes {booster.num_features()} columns, but its assets make {width}.")
    found = int(json.loads(booster.save_config())["learner"]["learner_model_param"]["num_class"])
    if found != len(signature.classes):
        raise UnusableModel(f"The booster has {found} classes, but its metadata names {len(signature.classes)}.")
