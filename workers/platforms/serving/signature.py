"""Inputs and outputs of a served model: `signature.json`, which the export writes beside `model.onnx`.

{"label": "species", "task": "classification", "output_type": "DOUBLE",
 "inputs": [{"name": "sepal_length", "type": "DOUBLE", "mean": 5.84}, …], "classes": ["setosa", …]}

Numbers are DOUBLE, as in BigQuery ML's current exports. Versions of earlier releases have FLOAT, and neither
`output_type` nor means.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

NumberType = Literal["DOUBLE", "FLOAT"]
InputType = Literal[NumberType, "STRING", "BOOL"]
Task = Literal["classification", "regression"]

MODEL_FILE = "model.onnx"
SIGNATURE_FILE = "signature.json"


class UnusableModel(Exception):
    """The model in a folder cannot be served. The message is one line that says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One feature: one value per instance. `mean` is a number's mean in training, if it is known.

    `nullable`: the model takes a missing value, null or, for a number, "" (see booster).
    """

    name: str
    type: InputType
    mean: float | None = None
    nullable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The inputs in the model's order. `classes` has the label's values in the order of the probabilities.

    A regression has no classes. `output_type` is the type of its predictions, or of a classifier's probabilities.
    """

    label: str
    task: Task
    inputs: tuple[Input, ...]
    classes: tuple[str, ...] = ()
    output_type: NumberType = "FLOAT"

    @property
    def predicted(self) -> str:
        """The output with the predicted value. Output names are BigQuery ML's."""
        return f"predicted_{self.label}"

    @property
    def probabilities(self) -> str:
        """A classifier's output with one probability per class."""
        return f"{self.label}_probs"

    @property
    def values(self) -> str:
        """A classifier's output with the classes, in the order of the probabilities."""
        return f"{self.label}_values"


def read_signature(folder: Path) -> Signature:
    """Read the signature of the model in `folder`. Raises UnusableModel."""
    document = read_json(folder / SIGNATURE_FILE)
    try:
        signature = Signature(
            label=str(document["label"]),
            task=document["task"],
            inputs=tuple(
                Input(name=str(item["name"]), type=item["type"], mean=item.get("mean")) for item in document["inputs"]
            ),
            classes=tuple(str(value) for value in document.get("classes") or ()),
            output_type=document.get("output_type", "FLOAT"),
        )
        _check(signature)
        return signature
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableModel(f"{folder / SIGNATURE_FILE} is not a signature: {error!r}.") from error


def read_json(path: Path) -> Any:
    """Raise UnusableModel if the file is missing or is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UnusableModel(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UnusableModel(f"{path} is not JSON: {error}.") from error


def _check(signature: Signature) -> None:
    """Raise ValueError if the signature contradicts itself."""
    if signature.task not in get_args(Task):
        raise ValueError(f"task {signature.task!r}")
    if not signature.inputs or len({item.name for item in signature.inputs}) < len(signature.inputs):
        raise ValueError("inputs must have names, and no name twice")
    for item in signature.inputs:
        if item.type not in get_args(InputType):
            raise ValueError(f"type {item.type!r} of input {item.name!r}")
        if item.mean is not None and not math.isfinite(item.mean):
            raise ValueError(f"mean {item.mean!r} of input {item.name!r}")
    if signature.output_type not in get_args(NumberType):
        raise ValueError(f"output_type {signature.output_type!r}")
    if signature.task == "classification" and not signature.classes:
        raise ValueError("a classification needs classes")
