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


def classifier(folder: Path, *, classes: Sequence[str] = ("apple", "pear", "plum")) -> Path:
    """A classifier of fruit with a number, a string and a boolean as its features."""
    weights = numpy.zeros((3, len(classes)), dtype=numpy.float32)
    weights[:, 0] = 1.0
    nodes = [
        *_features(),
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["fruit_probs"], axis=1),
        helper.make_node("ArgMax", ["fruit_probs"], ["index"], axis=1, keepdims=0),
        helper.make_node("Gather", ["classes", "index"], ["predicted_fruit"]),
    ]
    outputs = [
        helper.make_tensor_value_info("predicted_fruit", TensorProto.STRING, [None]),
        helper.make_tensor_value_info("fruit_probs", TensorProto.FLOAT, [None, len(classes)]),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        helper.make_tensor("classes", TensorProto.STRING, [len(classes)], [name.encode() for name in classes]),
    ]
    return _write(folder, nodes, outputs, constants, task="classification", classes=list(classes))


def regressor(folder: Path, *, factor: float = 1.0) -> Path:
    """A regressor with the same features: the sum of the number, 1 for red or 2 for green, and 1 if ripe."""
    nodes = [*_features(), helper.make_node("MatMul", ["features", "weights"], ["predicted_fruit"])]
    outputs = [helper.make_tensor_value_info("predicted_fruit", TensorProto.FLOAT, [None, 1])]
    weights = numpy.full((3, 1), factor, dtype=numpy.float32)
    return _write(folder, nodes, outputs, [numpy_helper.from_array(weights, "weights")], task="regression", classes=[])


def _features() -> list[Any]:
    return [
        helper.make_node(
            "LabelEncoder",
            ["colour"],
            ["colour_number"],
            domain="ai.onnx.ml",
            keys_strings=["red", "green"],
            values_floats=[1.0, 2.0],
            default_float=0.0,
        ),
        helper.make_node("Cast", ["ripe"], ["ripe_number"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["size", "colour_number", "ripe_number"], ["features"], axis=1),
    ]


def _write(folder: Path, nodes: Any, outputs: Any, constants: Any, *, task: str, classes: list[str]) -> Path:
    inputs = [
        helper.make_tensor_value_info("size", TensorProto.FLOAT, [None, 1]),
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
    types = {"size": "FLOAT", "colour": "STRING", "ripe": "BOOL"}
    signature = {
        "label": "fruit",
        "task": task,
        "inputs": [{"name": name, "type": kind} for name, kind in types.items()],
        "classes": classes,
    }
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder
