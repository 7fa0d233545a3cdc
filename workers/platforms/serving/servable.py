"""A loaded model: the body of a predict request in, the body of its answer out. Knows no HTTP.

Requests, answers and the words of errors are TensorFlow Serving's
(https://www.tensorflow.org/tfx/serving/api_rest#predict_api); the names of outputs are BigQuery ML's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from workers.platforms.serving.signature import MODEL_FILE, Input, InputType, Signature, UnusableModel, read_signature

SIGNATURE_NAME = "serving_default"

# ONNX Runtime's errors share no ancestor but Exception.
_ONNX_ERRORS = (
    onnx_errors.EPFail,
    onnx_errors.EngineError,
    onnx_errors.Fail,
    onnx_errors.InvalidArgument,
    onnx_errors.InvalidGraph,
    onnx_errors.InvalidProtobuf,
    onnx_errors.ModelLoaded,
    onnx_errors.NoModel,
    onnx_errors.NoSuchFile,
    onnx_errors.NotImplemented,
    onnx_errors.RuntimeException,
)
_ONNX_TYPES: Mapping[InputType, str] = {
    "FLOAT": "tensor(float)",
    "STRING": "tensor(string)",
    "BOOL": "tensor(bool)",
}
_LARGEST_FLOAT = float(numpy.finfo(numpy.float32).max)
_JSON_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
_LONGEST_SHOWN = 200

Column = Sequence[Any]
Tensor = NDArray[Any]


class InvalidRequest(Exception):
    """The request's body is not a predict request for this model: TensorFlow's InvalidArgument, HTTP 400."""


class ModelFailed(Exception):
    """The model itself failed on a well-formed request: HTTP 500."""


class Servable:
    """One version of a model in memory. Single-threaded: one inference at a time, on the calling thread."""

    def __init__(self, folder: Path) -> None:
        """Load the model in `folder`. Raises UnusableModel."""
        self.signature = read_signature(folder)
        self._session = _load(folder / MODEL_FILE)
        _check_agreement(self._session, self.signature)
        self._outputs = [self.signature.predicted]
        if self.signature.task == "classification":
            self._outputs.append(self.signature.probabilities)
        self._tensors = [(item.name, _TENSORS[item.type]) for item in self.signature.inputs]
        self._keys = ",".join(sorted(item.name for item in self.signature.inputs))
        self._quoted = {value: json.dumps(value) for value in self.signature.classes}
        self._values = json.dumps(list(self.signature.classes))

    def predict(self, body: bytes) -> bytes:
        """Answer a predict request in the row format ("instances") or the column format ("inputs").

        Raises InvalidRequest and ModelFailed.
        """
        request = _parsed(body)
        if (name := request.get("signature_name", SIGNATURE_NAME)) != SIGNATURE_NAME:
            raise InvalidRequest(
                f'Serving signature name: "{name}" not found in signature def'
                if isinstance(name, str)
                else f"JSON Value: {_shown(request)} not formatted correctly. "
                "'signature_name' key must be a string value."
            )
        if "instances" in request:
            if "inputs" in request:
                raise InvalidRequest(
                    f"JSON Value: {_shown(request)} Not formatted correctly expecting only "
                    "one of 'inputs' or 'instances' keys to exist "
                )
            return self._rows(self._run(self._from_instances(request["instances"])))
        if "inputs" in request:
            return self._columns(self._run(self._from_inputs(request["inputs"])))
        raise InvalidRequest("Missing 'inputs' or 'instances' key")

    def _from_instances(self, instances: Any) -> dict[str, Tensor]:
        if not isinstance(instances, list):
            raise InvalidRequest(f"JSON Value: {_shown(instances)} Excepting 'instances' to be an list/array")
        if not instances:
            raise InvalidRequest("JSON Value: [] No values in 'instances' array")
        width = len(self._tensors)
        if width == 1 and not isinstance(instances[0], dict):
            name, tensor = self._tensors[0]
            return {name: tensor(instances)}
        for number, row in enumerate(instances):
            if not isinstance(row, dict):
                raise InvalidRequest(
                    "instances is a plain list, but expecting list of objects as multiple "
                    "input tensors required as per tensorinfo_map"
                    if number == 0
                    else f"Expecting object but got list at item {number} of input list"
                )
            if len(row) != width:
                self._refuse_keys(number, row)
        try:
            return {name: tensor([row[name] for row in instances]) for name, tensor in self._tensors}
        except KeyError as missing:
            number = next(number for number, row in enumerate(instances) if missing.args[0] not in row)
            self._refuse_keys(number, instances[number])
            raise

    def _refuse_keys(self, number: int, row: Mapping[str, Any]) -> None:
        raise InvalidRequest(
            f"Failed to process element: {number} of 'instances' list. JSON object: {_shown(row)} "
            f"keys must be equal to: {self._keys}"
        )

    def _from_inputs(self, inputs: Any) -> dict[str, Tensor]:
        if not isinstance(inputs, dict):
            if len(self._tensors) > 1:
                raise InvalidRequest(
                    "inputs is a plain value/list, but expecting an object as multiple "
                    "input tensors required as per tensorinfo_map"
                )
            inputs = {self._tensors[0][0]: inputs}
        feed: dict[str, Tensor] = {}
        for name, tensor in self._tensors:
            if name not in inputs:
                raise InvalidRequest(f"Missing named input: {name} in 'inputs' object.")
            column = inputs[name]
            if not isinstance(column, list) or not column:
                raise InvalidRequest(f"JSON Value: {_shown(column)} is not a list of values for input: {name}")
            feed[name] = tensor(column)
        sizes = {len(column) for column in feed.values()}
        if len(sizes) > 1:
            raise InvalidRequest(f"Inputs of different sizes: {', '.join(map(str, sorted(sizes)))}")
        return feed

    def _run(self, feed: dict[str, Tensor]) -> list[Tensor]:
        try:
            return self._session.run(self._outputs, feed)  # type: ignore[no-any-return]
        except _ONNX_ERRORS as error:
            raise ModelFailed(str(error).partition("\n")[0]) from error

    def _rows(self, outputs: list[Tensor]) -> bytes:
        if self.signature.task == "regression":
            return f'{{"predictions": {_number_list(outputs[0].reshape(-1, 1).tolist())}}}'.encode()
        label, quoted, values = self.signature.label, self._quoted, self._values
        rows = ", ".join(
            [
                f'{{"predicted_{label}": [{quoted.get(predicted) or json.dumps(predicted)}], '
                f'"{label}_probs": {_number_list(probabilities)}, "{label}_values": {values}}}'
                for predicted, probabilities in zip(
                    outputs[0].reshape(-1).tolist(), outputs[1].tolist(), strict=True
                )
            ]
        )
        return f'{{"predictions": [{rows}]}}'.encode()

    def _columns(self, outputs: list[Tensor]) -> bytes:
        predicted = outputs[0].reshape(-1, 1).tolist()
        if self.signature.task == "regression":
            return json.dumps({"outputs": predicted}).encode()
        return json.dumps(
            {
                "outputs": {
                    self.signature.predicted: predicted,
                    self.signature.probabilities: outputs[1].tolist(),
                    self.signature.values: [list(self.signature.classes)] * len(predicted),
                }
            }
        ).encode()


def _load(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    # One core a replica: more replicas, not more threads, are how an endpoint grows.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _ONNX_ERRORS as error:
        raise UnusableModel(f"{path} cannot be loaded: {str(error).partition(chr(10))[0]}.") from error


def _check_agreement(session: Any, signature: Signature) -> None:
    found = {item.name: item.type for item in session.get_inputs()}
    wanted = {item.name: _ONNX_TYPES[item.type] for item in signature.inputs}
    if found != wanted:
        raise UnusableModel(f"The model takes {found}, but its signature says {wanted}.")
    outputs = {item.name for item in session.get_outputs()}
    needed = {signature.predicted}
    if signature.task == "classification":
        needed.add(signature.probabilities)
    if not needed <= outputs:
        raise UnusableModel(f"The model answers {sorted(outputs)}, but its signature needs {sorted(needed)}.")


def _parsed(body: bytes) -> dict[str, Any]:
    if not body:
        raise InvalidRequest("JSON Parse error: The document is empty at offset: 0")
    try:
        request = json.loads(body)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits, too deep
        raise InvalidRequest(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise InvalidRequest(f"JSON Value: {_shown(request)} Is not object")
    return request


def _floats(column: Column) -> Tensor:
    for value in column:
        # NaN and the infinities are numbers to TensorFlow Serving too.
        if type(value) is float:
            if -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT or value != value or value in (float("inf"), -float("inf")):
                continue
        elif type(value) is int:
            if -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT:
                continue
        else:
            raise _wrong_type(value, "float")
        raise InvalidRequest(f"Cannot convert JSON value: {_shown(value)} to float without loss of precision.")
    return numpy.array(column, dtype=numpy.float32).reshape(-1, 1)


def _strings(column: Column) -> Tensor:
    for value in column:
        if type(value) is not str:
            raise _wrong_type(value, "string")
    return numpy.array(column, dtype=object).reshape(-1, 1)


def _bools(column: Column) -> Tensor:
    for value in column:
        if type(value) is not bool:
            raise _wrong_type(value, "bool")
    return numpy.array(column, dtype=numpy.bool_).reshape(-1, 1)


_TENSORS: Mapping[InputType, Callable[[Column], Tensor]] = {"FLOAT": _floats, "STRING": _strings, "BOOL": _bools}


def _wrong_type(value: Any, wanted: str) -> InvalidRequest:
    found = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return InvalidRequest(f"JSON Value: {_shown(value)} Type: {found} is not of expected type: {wanted}")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _number_list(numbers: list[Any]) -> str:
    # Three times as fast as json.dumps, and the same text, unless there is a nan or an inf.
    text = str(numbers)
    return json.dumps(numbers) if "n" in text else text


def zeros(inputs: Sequence[Input]) -> dict[str, str | float | bool]:
    """An instance that every model with these inputs takes."""
    blank: Mapping[InputType, str | float | bool] = {"FLOAT": 0.0, "STRING": "", "BOOL": False}
    return {item.name: blank[item.type] for item in inputs}
