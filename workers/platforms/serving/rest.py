"""TensorFlow Serving's REST API for one version of one model, as a raw ASGI application.

Paths, statuses and error bodies are TensorFlow Serving's (https://www.tensorflow.org/tfx/serving/api_rest). Under /v1/,
errors have the body {"error": "…"}, and a wrong method is a malformed request: 400.
"""

import json
import re
from time import perf_counter_ns
from typing import Any

from workers.platforms.serving.metrics import RequestMetrics
from workers.platforms.serving.servable import SIGNATURE_NAME, ModelFailed, Servable
from workers.platforms.serving.signature import Signature
from workers.platforms.serving.tensors import InvalidRequest

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Limit for one request: parsing a larger body would delay the replica's other clients."""

METRICS_PATH = "/monitoring/prometheus/metrics"

_PREDICTION = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:(classify|regress|predict)")
_MODEL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?")
_DTYPES = {"FLOAT": "DT_FLOAT", "STRING": "DT_STRING", "BOOL": "DT_BOOL"}

Response = tuple[int, bytes]


class RestApi:
    """ASGI 3 application, HTTP only."""

    def __init__(self, *, model: str, version: int, servable: Servable) -> None:
        self._model = model
        self._version = str(version)
        self._servable = servable
        self._metrics = RequestMetrics(model)
        self._predict_paths = {f"/v1/models/{model}:predict", f"/v1/models/{model}/versions/{version}:predict"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        content_type = b"application/json"
        if scope["path"] in self._predict_paths and scope["method"] == "POST":
            message = await receive()
            body: bytes | None = message.get("body", b"")
            if message.get("more_body"):
                body = await _read_rest(receive, body or b"")
            started_ns = perf_counter_ns()
            status, answer = self._predict(body)
            self._metrics.count(status, (perf_counter_ns() - started_ns) / 1000)
        elif scope["path"] == METRICS_PATH and scope["method"] == "GET":
            status, answer, content_type = 200, self._metrics.text().encode(), b"text/plain; version=0.0.4"
        else:
            status, answer = self._handle_other(scope["method"], scope["path"])
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(answer))],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    def _predict(self, body: bytes | None) -> Response:
        if body is None or len(body) > MAX_BODY_BYTES:
            return _error(413, f"Request body is larger than {MAX_BODY_BYTES} bytes")
        try:
            return 200, self._servable.predict(body)
        except InvalidRequest as error:
            return _error(400, str(error))
        except ModelFailed as error:
            return _error(500, str(error))

    def _handle_other(self, method: str, path: str) -> Response:
        if method == "POST" and (match := _PREDICTION.fullmatch(path)):
            model, version, verb = match.groups()
            if not self._serves(model, version):
                asked = f"Specific({model}, {version})" if version else f"Latest({model})"
                return _error(404, f"Servable not found for request: {asked}")
            return _error(
                400,
                f"Expected {'classification' if verb == 'classify' else 'regression'} signature method_name to be "
                f"tensorflow/serving/{verb}. Was: tensorflow/serving/predict",
            )
        if method == "GET" and (match := _MODEL.fullmatch(path)):
            model, version, metadata = match.groups()
            if not self._serves(model, version):
                asked = f"version {version} of model {model}" if version else f"any versions of model {model}"
                return _error(404, f"Could not find {asked}")
            return 200, _indented(self._metadata() if metadata else self._state())
        if path.startswith("/v1/"):
            return _error(400, f"Malformed request: {method} {path}")
        return _error(404, "Not Found")

    def _serves(self, model: str, version: str | None) -> bool:
        return model == self._model and version in (None, self._version)

    def _state(self) -> object:
        # The only possible state: the port opens after the model has been loaded.
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": self._version, "state": "AVAILABLE", "status": status}]}

    def _metadata(self) -> object:
        definition = {SIGNATURE_NAME: _signature_def(self._servable.signature)}
        return {
            "model_spec": {"name": self._model, "signature_name": "", "version": self._version},
            "metadata": {"signature_def": {"signature_def": definition}},
        }


async def _read_rest(receive: Any, first: bytes) -> bytes | None:
    """Return the whole body, or None if it is too large. The server then discards the rest."""
    parts, size, more = [first], len(first), True
    while more and size <= MAX_BODY_BYTES:
        message = await receive()
        more = message.get("more_body")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    return b"".join(parts) if size <= MAX_BODY_BYTES else None


def _signature_def(signature: Signature) -> object:
    outputs = {signature.predicted: _tensor_info("DT_FLOAT", -1, 1)}
    if signature.task == "classification":
        width = len(signature.classes)
        outputs = {
            signature.predicted: _tensor_info("DT_STRING", -1, 1),
            signature.probabilities: _tensor_info("DT_FLOAT", -1, width),
            signature.values: _tensor_info("DT_STRING", -1, width),
        }
    return {
        "inputs": {item.name: _tensor_info(_DTYPES[item.type], -1) for item in signature.inputs},
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }


def _tensor_info(dtype: str, *shape: int) -> object:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": ""}


def _error(status: int, message: str) -> Response:
    return status, json.dumps({"error": message}).encode()


def _indented(document: object) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"
