"""The fitted pipeline as an ONNX graph whose inputs and outputs are those of a model exported from BigQuery ML.

`model.onnx` has one input a feature, by its column's name, of shape [N, 1]; the outputs are `predicted_LABEL`, and for
a classifier `LABEL_probs`. `signature.json` says the same in words that need no ONNX to read.
"""

from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.warehouse.features import Feature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_INNER = "pipeline/"
"""Set before every name inside the graph: no column's name has a slash, whatever the converter calls things."""


def signature(features: tuple[Feature, ...], label: str, *, classes: list[str] | None) -> dict[str, object]:
    """What `signature.json` says; `classes` in the order of the columns of `LABEL_probs`, None for a regressor."""
    said: dict[str, object] = {
        "label": label,
        "task": "regression" if classes is None else "classification",
        "inputs": [{"name": feature.name, "type": feature.type} for feature in features],
    }
    return said if classes is None else said | {"classes": classes}


def to_onnx(pipeline: Any, features: tuple[Feature, ...], label: str, *, classify: bool) -> bytes:
    """The graph, checked. FLOAT inputs are tensor(float), STRING tensor(string), BOOL tensor(bool)."""
    import onnx
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    # Linear models standardise: in double, as scikit-learn does, since a float32 difference of two large numbers
    # (a Unix time and its mean) has few digits left. Trees compare float32 in scikit-learn and in ONNX alike.
    linear = hasattr(pipeline["estimator"], "coef_")
    number = DoubleTensorType if linear else FloatTensorType
    types = [
        (f"input_{position}", (StringTensorType if feature.type == "STRING" else number)([None, 1]))
        for position, feature in enumerate(features)
    ]
    options = {id(pipeline): {"zipmap": False}} if classify else None
    inner = onnx.compose.add_prefix(convert_sklearn(pipeline, initial_types=types, options=options), _INNER)
    graph = _wrapped(inner.graph, features, label, number=onnx.TensorProto.DOUBLE if linear else onnx.TensorProto.FLOAT)
    model = onnx.helper.make_model(
        graph, opset_imports=inner.opset_import, ir_version=inner.ir_version, producer_name="seatrial"
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _wrapped(inner: Any, features: tuple[Feature, ...], label: str, *, number: int) -> Any:
    """The converter's graph between nodes that give inputs and outputs their names and types in public."""
    from onnx import TensorProto, helper

    public = {"FLOAT": TensorProto.FLOAT, "STRING": TensorProto.STRING, "BOOL": TensorProto.BOOL}
    inputs = [helper.make_tensor_value_info(f.name, public[f.type], [None, 1]) for f in features]
    before = [
        helper.make_node("Identity", [f.name], [within.name])
        if public[f.type] in (TensorProto.STRING, number)
        else helper.make_node("Cast", [f.name], [within.name], to=number)
        for f, within in zip(features, inner.input, strict=True)
    ]
    predicted, *probabilities = inner.output
    if probabilities:
        outputs = [
            helper.make_tensor_value_info(f"predicted_{label}", TensorProto.STRING, [None]),
            helper.make_tensor_value_info(f"{label}_probs", TensorProto.FLOAT, [None, None]),
        ]
        after = [
            helper.make_node("Identity", [predicted.name], [f"predicted_{label}"]),
            helper.make_node("Cast", [probabilities[0].name], [f"{label}_probs"], to=TensorProto.FLOAT),
        ]
    else:
        outputs = [helper.make_tensor_value_info(f"predicted_{label}", TensorProto.FLOAT, [None, 1])]
        after = [helper.make_node("Cast", [predicted.name], [f"predicted_{label}"], to=TensorProto.FLOAT)]
    nodes = [*before, *inner.node, *after]
    return helper.make_graph(nodes, "seatrial", inputs, outputs, initializer=list(inner.initializer))


def run_onnx(model: bytes, features: tuple[Feature, ...], frame: "pd.DataFrame") -> "list[np.ndarray[Any, Any]]":
    """The graph's outputs for these rows, as the serving process computes them."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    as_input = {"FLOAT": np.float32, "STRING": np.object_, "BOOL": np.bool_}
    feed = {f.name: frame[[f.name]].to_numpy().astype(as_input[f.type]) for f in features}
    return list(session.run(None, feed))
