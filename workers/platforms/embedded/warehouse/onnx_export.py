"""Conversion of a fitted pipeline to an ONNX graph with the inputs and outputs of a BigQuery ML export.

`model.onnx` has one input per feature, named after its column, of shape [N, 1]. The outputs are `predicted_LABEL` and,
for a classifier, `LABEL_probs`. `signature.json` describes the same for readers without ONNX.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.warehouse.features import Feature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_INNER = "pipeline/"
"""Prefix of every name inside the graph. It has a slash, so it cannot collide with a column's name."""


def signature_document(
    features: tuple[Feature, ...], label: str, *, classes: list[str] | None, means: Mapping[str, float]
) -> dict[str, object]:
    """Return the content of `signature.json`, with the features' means in training.

    `classes` has the order of `LABEL_probs`; None means a regressor.
    """
    document: dict[str, object] = {
        "label": label,
        "task": "regression" if classes is None else "classification",
        "output_type": "DOUBLE",
        "inputs": [
            {"name": feature.name, "type": feature.type}
            | ({"mean": means[feature.name]} if feature.name in means else {})
            for feature in features
        ],
    }
    return document if classes is None else document | {"classes": classes}


def to_onnx(pipeline: Any, features: tuple[Feature, ...], label: str, *, classify: bool) -> bytes:
    """Return the graph, checked. DOUBLE inputs are tensor(double), STRING tensor(string), BOOL tensor(bool).

    It computes in double, as scikit-learn and BigQuery ML do: a float32 has 128 s steps for a Unix time.
    """
    import onnx
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    types = [
        (f"input_{position}", (StringTensorType if feature.type == "STRING" else DoubleTensorType)([None, 1]))
        for position, feature in enumerate(features)
    ]
    options = {id(pipeline): {"zipmap": False}} if classify else None
    inner = onnx.compose.add_prefix(convert_sklearn(pipeline, initial_types=types, options=options), _INNER)
    graph = _wrap(inner.graph, features, label)
    model = onnx.helper.make_model(
        graph, opset_imports=inner.opset_import, ir_version=inner.ir_version, producer_name="seatrial"
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _wrap(inner: Any, features: tuple[Feature, ...], label: str) -> Any:
    """Wrap the converter's graph in nodes that give its inputs and outputs their public names and types."""
    from onnx import TensorProto, helper

    public = {"DOUBLE": TensorProto.DOUBLE, "STRING": TensorProto.STRING, "BOOL": TensorProto.BOOL}
    inputs = [helper.make_tensor_value_info(f.name, public[f.type], [None, 1]) for f in features]
    before = [
        helper.make_node("Cast", [f.name], [within.name], to=TensorProto.DOUBLE)
        if f.type == "BOOL"
        else helper.make_node("Identity", [f.name], [within.name])
        for f, within in zip(features, inner.input, strict=True)
    ]
    predicted, *probabilities = inner.output
    if probabilities:
        outputs = [
            helper.make_tensor_value_info(f"predicted_{label}", TensorProto.STRING, [None]),
            helper.make_tensor_value_info(f"{label}_probs", TensorProto.DOUBLE, [None, None]),
        ]
        after = [
            helper.make_node("Identity", [predicted.name], [f"predicted_{label}"]),
            helper.make_node("Identity", [probabilities[0].name], [f"{label}_probs"]),
        ]
    else:
        outputs = [helper.make_tensor_value_info(f"predicted_{label}", TensorProto.DOUBLE, [None, 1])]
        after = [helper.make_node("Identity", [predicted.name], [f"predicted_{label}"])]
    nodes = [*before, *inner.node, *after]
    return helper.make_graph(nodes, "seatrial", inputs, outputs, initializer=list(inner.initializer))


def run_onnx(model: bytes, features: tuple[Feature, ...], frame: "pd.DataFrame") -> "list[np.ndarray[Any, Any]]":
    """Return the graph's outputs for these rows, as the serving process computes them."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    as_input = {"DOUBLE": np.float64, "STRING": np.object_, "BOOL": np.bool_}
    feed = {f.name: frame[[f.name]].to_numpy().astype(as_input[f.type]) for f in features}
    return list(session.run(None, feed))
