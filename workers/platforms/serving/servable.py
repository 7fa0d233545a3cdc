"""A loaded model: from the body of a predict request to the body of its response. Must not depend on HTTP.

Requests, responses and error messages are TensorFlow Serving's
(https://www.tensorflow.org/tfx/serving/api_rest#predict_api). Output names are BigQuery ML's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import orjson
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from workers.platforms.serving.booster import is_booster, load_booster
from workers.platforms.serving.conversion import Converter
from workers.platforms.serving.json_parser import parse
from workers.platforms.serving.signature import MODEL_FILE, InputType, Signature, UnusableModel, read_signature
from workers.platforms.serving.tensors import InvalidRequest, Tensor, quote_json

SIGNATURE_NAME = "serving_default"

# ONNX Runtime's errors have no common base class except Exception.
_ONNX_ERRORS = tuple(
    item for item in vars(onnx_errors).values() if isinstance(item, type) and issubclass(item, Exception)
)
_ONNX_TYPES: Mapping[InputType, str] = {
    "DOUBLE": "tensor(double)",
    "FLOAT": "tensor(float)",
    "STRING": "tensor(string)",
    "BOOL": "tensor(bool)",
}


Run = Callable[[Sequence[str], Mapping[str, Tensor]], list[Tensor]]
"""Inference: returns the requested outputs, one row per instance."""


class ModelFailed(Exception):
    """The model failed on a well-formed request: HTTP 500."""


class Servable:
    """One version of a model in memory. Runs one inference at a time, on the calling thread."""

    def __init__(self, folder: Path) -> None:
        """Load the model in `folder`. Raises UnusableModel."""
        self.signature, self._infer = _load(folder)
        self._outputs = [self.signature.predicted]
        if self.signature.task == "classification":
            self._outputs.append(self.signature.probabilities)
        self._converter = Converter(self.signature.inputs)
        self._predicted = self.signature.predicted
        self._probabilities = self.signature.probabilities
        self._values = self.signature.values

    def predict(self, body: bytes) -> bytes:
        """Return the response to a predict request in row format ("instances") or column format ("inputs").

        Raises InvalidRequest or ModelFailed.
        """
        request = parse(body)
        if "signature_name" in request:
            _check_signature_name(request)
        if "instances" in request:
            if "inputs" in request:
                raise InvalidRequest(
                    f"JSON Value: {quote_json(request)} Not formatted correctly expecting only "
                    "one of 'inputs' or 'instances' keys to exist "
                )
            return self._rows(self._run(self._converter.from_instances(request["instances"])))
        if "inputs" in request:
            return self._columns(self._run(self._converter.from_inputs(request["inputs"])))
        raise InvalidRequest("Missing 'inputs' or 'instances' key")

    def _run(self, feed: dict[str, Tensor]) -> list[Tensor]:
        try:
            return self._infer(self._outputs, feed)
        except _ONNX_ERRORS as error:
            raise ModelFailed(_first_line(error)) from error

    def _rows(self, outputs: list[Tensor]) -> bytes:
        signature = self.signature
        if signature.task == "regression":
            return _encode({"predictions": outputs[0].reshape(-1, 1)})
        rows = [
            {self._predicted: [predicted], self._probabilities: probabilities, self._values: signature.classes}
            for predicted, probabilities in zip(outputs[0].reshape(-1).tolist(), outputs[1], strict=True)
        ]
        return _encode({"predictions": rows})

    def _columns(self, outputs: list[Tensor]) -> bytes:
        if self.signature.task == "regression":
            return _encode({"outputs": outputs[0].reshape(-1, 1)})
        predicted = outputs[0].reshape(-1, 1).tolist()
        values = [self.signature.classes] * len(predicted)
        columns = {self._predicted: predicted, self._probabilities: outputs[1], self._values: values}
        return _encode({"outputs": columns})


def _load(folder: Path) -> tuple[Signature, Run]:
    if is_booster(folder):
        return load_booster(folder)
    signature = read_signature(folder)
    session = _load_onnx(folder / MODEL_FILE)
    _check_agreement(session, signature)
    # In ONNX Runtime 1.32, the session's `run` calls `_sess` after checks of names and types. These take as long as the
    # inference of a small model, and `_check_agreement` makes them once.
    run = session._sess.run
    return signature, lambda outputs, feed: run(outputs, feed, None)


def _load_onnx(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    # One core per replica: an endpoint scales by replicas, not threads.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, too: do not log them twice
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _ONNX_ERRORS as error:
        raise UnusableModel(f"{path} cannot be loaded: {_first_line(error)}") from error


def _check_agreement(session: Any, signature: Signature) -> None:
    found = {item.name: item.type for item in session.get_inputs()}
    expected = {item.name: _ONNX_TYPES[item.type] for item in signature.inputs}
    if found != expected:
        raise UnusableModel(f"The model takes {found}, but its signature says {expected}.")
    returned = {item.name: item.type for item in session.get_outputs()}
    needed = {signature.predicted: _ONNX_TYPES[signature.output_type]}
    if signature.task == "classification":
        needed = {signature.predicted: "tensor(string)", signature.probabilities: _ONNX_TYPES[signature.output_type]}
    if not needed.items() <= returned.items():
        raise UnusableModel(f"The model returns {returned}, but its signature needs {needed}.")


def _check_signature_name(request: Mapping[str, Any]) -> None:
    name = request["signature_name"]
    if not isinstance(name, str):
        raise InvalidRequest(
            f"JSON Value: {quote_json(request)} not formatted correctly. 'signature_name' key must be a string value."
        )
    if name not in ("", SIGNATURE_NAME):
        raise InvalidRequest(f'Serving signature name: "{name}" not found in signature def')


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _encode(document: Mapping[str, Any]) -> bytes:
    """Return JSON with each number in the fewest digits that identify it."""
    encoded = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=_as_list)
    # orjson writes NaN as null. Python's json writes NaN, as TensorFlow Serving does.
    return json.dumps(document, default=_as_list).encode() if b"null" in encoded else encoded


def _as_list(array: Tensor) -> Any:
    return array.astype(str).astype(float).tolist()  # through the shortest decimal digits
