"""A loaded model: the body of a predict request in, the body of its answer out. Knows no HTTP.

Requests, answers and the words of errors are TensorFlow Serving's
(https://www.tensorflow.org/tfx/serving/api_rest#predict_api); the names of outputs are BigQuery ML's.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import onnxruntime
import orjson
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from workers.platforms.serving.booster import is_booster, load_booster
from workers.platforms.serving.signature import MODEL_FILE, InputType, Signature, UnusableModel, read_signature
from workers.platforms.serving.tensors import InvalidRequest, Tensor, TensorFeature, shown

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


class Session(Protocol):
    """A loaded model, with the one method of ONNX Runtime's session that is needed."""

    def run(self, outputs: Sequence[str], feed: Mapping[str, Tensor], /) -> list[Tensor]:
        """The outputs asked for, one row an instance."""


class _Unchecked:
    """ONNX Runtime's session, without the checks that its `run` makes of every request's names and kinds.

    They take as long as the inference of a small model, and what is fed here was held against the graph once. Of ONNX
    Runtime 1.32, `_sess` is what `run` itself calls.
    """

    __slots__ = ("_run",)

    def __init__(self, session: Any) -> None:
        self._run = session._sess.run

    def run(self, outputs: Sequence[str], feed: Mapping[str, Tensor], /) -> list[Tensor]:
        """See Session."""
        found: list[Tensor] = self._run(outputs, feed, None)
        return found


class ModelFailed(Exception):
    """The model itself failed on a well-formed request: HTTP 500."""


class Servable:
    """One version of a model in memory. One inference at a time, on the calling thread."""

    def __init__(self, folder: Path) -> None:
        """Load the model in `folder`. Raises UnusableModel."""
        self.signature, self._session = _load(folder)
        self._outputs = [self.signature.predicted]
        if self.signature.task == "classification":
            self._outputs.append(self.signature.probabilities)
        self._features = [TensorFeature(item) for item in self.signature.inputs]
        self._one = {feature.name: feature.one for feature in self._features}
        self._single = [(feature.name, feature.check, feature.one) for feature in self._features]
        self._keys = ",".join(sorted(item.name for item in self.signature.inputs))
        self._predicted = self.signature.predicted
        self._probabilities = self.signature.probabilities
        self._values = self.signature.values

    def predict(self, body: bytes) -> bytes:
        """Answer a predict request in the row format ("instances") or the column format ("inputs").

        Raises InvalidRequest and ModelFailed.
        """
        request = _parsed(body)
        if "signature_name" in request:
            _check_signature_name(request)
        if "instances" in request:
            if "inputs" in request:
                raise InvalidRequest(
                    f"JSON Value: {shown(request)} Not formatted correctly expecting only "
                    "one of 'inputs' or 'instances' keys to exist "
                )
            return self._rows(self._run(self._from_instances(request["instances"])))
        if "inputs" in request:
            return self._columns(self._run(self._from_inputs(request["inputs"])))
        raise InvalidRequest("Missing 'inputs' or 'instances' key")

    def _from_instances(self, instances: Any) -> dict[str, Tensor]:
        if not isinstance(instances, list):
            raise InvalidRequest(f"JSON Value: {shown(instances)} Expecting 'instances' to be an list/array")
        if not instances:
            raise InvalidRequest("JSON Value: [] No values in 'instances' array")
        width = len(self._features)
        if len(instances) == 1 and type(row := instances[0]) is dict and len(row) == width:
            return self._from_one(row)
        if width == 1 and not isinstance(instances[0], dict):
            return {self._features[0].name: self._features[0].many(instances)}
        for number, row in enumerate(instances):
            if type(row) is not dict:
                raise InvalidRequest(
                    "instances is a plain list, but expecting list of objects as multiple "
                    "input tensors required as per tensorinfo_map"
                    if number == 0
                    else f"Expecting object but got list at item {number} of input list"
                )
            if len(row) != width:
                self._refuse_keys(number, row)
        try:
            return {item.name: item.many([row[item.name] for row in instances]) for item in self._features}
        except KeyError as missing:
            number = next(number for number, row in enumerate(instances) if missing.args[0] not in row)
            self._refuse_keys(number, instances[number])

    def _from_one(self, row: dict[str, Any]) -> dict[str, Tensor]:
        try:
            for name, check, tensor in self._single:
                value = row[name]
                check(value)
                tensor[0, 0] = value
        except KeyError:
            self._refuse_keys(0, row)
        return self._one

    def _refuse_keys(self, number: int, row: Mapping[str, Any]) -> NoReturn:
        raise InvalidRequest(
            f"Failed to process element: {number} of 'instances' list. JSON object: {shown(row)} "
            f"keys must be equal to: {self._keys}"
        )

    def _from_inputs(self, inputs: Any) -> dict[str, Tensor]:
        if not isinstance(inputs, dict):
            if len(self._features) > 1:
                raise InvalidRequest(
                    "inputs is a plain value/list, but expecting an object as multiple "
                    "input tensors required as per tensorinfo_map"
                )
            inputs = {self._features[0].name: inputs}
        feed: dict[str, Tensor] = {}
        for feature in self._features:
            if feature.name not in inputs:
                raise InvalidRequest(f"Missing named input: {feature.name} in 'inputs' object.")
            column = inputs[feature.name]
            if not isinstance(column, list) or not column:
                raise InvalidRequest(f"JSON Value: {shown(column)} is not a list of values for input: {feature.name}")
            feed[feature.name] = feature.many(column)
        sizes = sorted({len(column) for column in feed.values()})
        if len(sizes) > 1:
            raise InvalidRequest(f"Expecting tensor size: {sizes[0]} but got: {sizes[-1]}")
        return feed

    def _run(self, feed: dict[str, Tensor]) -> list[Tensor]:
        try:
            return self._session.run(self._outputs, feed)
        except _ONNX_ERRORS as error:
            raise ModelFailed(_first_line(error)) from error

    def _rows(self, outputs: list[Tensor]) -> bytes:
        signature = self.signature
        if signature.task == "regression":
            return _encoded({"predictions": outputs[0].reshape(-1, 1)})
        rows = [
            {self._predicted: [predicted], self._probabilities: probabilities, self._values: signature.classes}
            for predicted, probabilities in zip(outputs[0].reshape(-1).tolist(), outputs[1], strict=True)
        ]
        return _encoded({"predictions": rows})

    def _columns(self, outputs: list[Tensor]) -> bytes:
        predicted, signature = outputs[0].reshape(-1, 1).tolist(), self.signature
        if signature.task == "regression":
            return _encoded({"outputs": outputs[0].reshape(-1, 1)})
        values = [signature.classes] * len(predicted)
        columns = {self._predicted: predicted, self._probabilities: outputs[1], self._values: values}
        return _encoded({"outputs": columns})


def _load(folder: Path) -> tuple[Signature, Session]:
    if is_booster(folder):
        return load_booster(folder)
    signature = read_signature(folder)
    session = _load_onnx(folder / MODEL_FILE)
    _check_agreement(session, signature)
    return signature, _Unchecked(session)


def _load_onnx(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    # One core a replica: an endpoint grows by replicas, not by threads.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as well: said once, by whoever catches them
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _ONNX_ERRORS as error:
        raise UnusableModel(f"{path} cannot be loaded: {_first_line(error)}") from error


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
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        request = _parsed_exactly(body)
    if type(request) is not dict:
        raise InvalidRequest(f"JSON Value: {shown(request)} Is not object")
    return request


def _parsed_exactly(body: bytes) -> Any:
    """What orjson does not take: NaN and the infinities, which TensorFlow Serving does; otherwise, what is wrong."""
    if not body:
        raise InvalidRequest("JSON Parse error: The document is empty at offset: 0")
    try:
        found = json.loads(body.decode())
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return found
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of 5,000 digits, nested too deep
        raise InvalidRequest(f"JSON Parse error: {error}") from error


def _check_signature_name(request: Mapping[str, Any]) -> None:
    name = request["signature_name"]
    if not isinstance(name, str):
        raise InvalidRequest(
            f"JSON Value: {shown(request)} not formatted correctly. 'signature_name' key must be a string value."
        )
    if name not in ("", SIGNATURE_NAME):
        raise InvalidRequest(f'Serving signature name: "{name}" not found in signature def')


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _encoded(document: Mapping[str, Any]) -> bytes:
    """As JSON, each float32 in the fewest digits that tell it from others."""
    answer = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=_as_list)
    # A number that is none becomes null there, and is written as Python writes it here, and TensorFlow Serving.
    return json.dumps(document, default=_as_list).encode() if b"null" in answer else answer


def _as_list(array: Tensor) -> Any:
    return array.astype(str).astype(float).tolist()  # by way of its digits
