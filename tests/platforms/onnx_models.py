"""Small ONNX models as the export writes them: `model.onnx` and `signature.json` in a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLE: dict[str, str | int | float | bool] = {"size": 2.0, "colour": "red", "ripe": True}
"""An instance of the models below; every one of them predicts its first class for it."""


NUMBERS: dict[str, tuple[int, Any]] = {
    "DOUBLE": (TensorProto.DOUBLE, numpy.float64),
    "FLOAT": (TensorProto.FLOAT, numpy.float32),
}
"""Types of numbers: of current exports, and of those of earlier releases."""


def classifier(folder: Path, *, classes: Sequence[str] = ("apple", "pear", "plum"), number: str = "DOUBLE") -> Path:
    """A classifier of fruit with a number, a string and a boolean as its features."""
    tensor_type, dtype = NUMBERS[number]
    weights = numpy.zeros((3, len(classes)), dtype=dtype)
    weights[:, 0] = 1.0
    nodes = [
        *_features(tensor_type),
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["fruit_probs"], axis=1),
        helper.make_node("ArgMax", ["fruit_probs"], ["index"], axis=1, keepdims=0),
        helper.make_node("Gather", ["classes", "index"], ["predicted_fruit"]),
    ]
    outputs = [
        helper.make_tensor_value_info("predicted_fruit", TensorProto.STRING, [None]),
        helper.make_tensor_value_info("fruit_probs", tensor_type, [None, len(classes)]),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        helper.make_tensor("classes", TensorProto.STRING, [len(classes)], [name.encode() for name in classes]),
    ]
    return _write(folder, nodes, outputs, constants, task="classification", classes=list(classes), number=number)


def regressor(folder: Path, *, factor: float = 1.0, number: str = "DOUBLE") -> Path:
    """A regressor with the same features: the sum of the number, 1 for red or 2 for green, and 1 if ripe."""
    tensor_type, dtype = NUMBERS[number]
    nodes = [*_features(tensor_type), helper.make_node("MatMul", ["features", "weights"], ["predicted_fruit"])]
    outputs = [helper.make_tensor_value_info("predicted_fruit", tensor_type, [None, 1])]
    constants = [numpy_helper.from_array(numpy.full((3, 1), factor, dtype=dtype), "weights")]
    return _write(folder, nodes, outputs, constants, task="regression", classes=[], number=number)


def _features(tensor_type: int) -> list[Any]:
    return [
        helper.make_node(
            "LabelEncoder",
            ["colour"],
            ["colour_index"],
            domain="ai.onnx.ml",
            keys_strings=["red", "green"],
            values_floats=[1.0, 2.0],
            default_float=0.0,
        ),
        helper.make_node("Cast", ["colour_index"], ["colour_number"], to=tensor_type),
        helper.make_node("Cast", ["ripe"], ["ripe_number"], to=tensor_type),
        helper.make_node("Concat", ["size", "colour_number", "ripe_number"], ["features"], axis=1),
    ]


def _write(
    folder: Path, nodes: Any, outputs: Any, constants: Any, *, task: str, classes: list[str], number: str
) -> Path:
    inputs = [
        helper.make_tensor_value_info("size", NUMBERS[number][0], [None, 1]),
        helper.make_tensor_value_info("colour", TensorProto.STRING, [None, 1]),
        helper.make_tensor_value_info("ripe", TensorProto.BOOL, [None, 1]),
    ]
    graph = helper.make_graph(nodes, "fruit", inputs, outputs, constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8
    )
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    types = {"size": number, "colour": "STRING", "ripe": "BOOL"}
    signature = {
        "label": "fruit",
        "task": task,
        "inputs": [{"name": name, "type": kind} for name, kind in types.items()],
        "classes": classes,
    }
    if number == "DOUBLE":  # earlier releases wrote no output_type
        signature["output_type"] = "DOUBLE"
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder
