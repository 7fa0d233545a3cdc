"""TensorFlow Serving's REST API for one version of one model, as a raw ASGI application.

Paths, statuses and error bodies are TensorFlow Serving's (https://www.tensorflow.org/tfx/serving/api_rest). Under /v1/,
errors have the body {"error": "…"}, and a wrong method is a malformed request: 400.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from time import perf_counter_ns
from typing import Any

from workers.platforms.serving.content_coding import ACCEPTED, UnpackError, coding_of, unpack
from workers.platforms.serving.servable import SIGNATURE_NAME, ModelFailed, Servable
from workers.platforms.serving.signature import Signature
from workers.platforms.serving.tensors import InvalidRequest

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Limit for one request, also when unpacked: parsing a larger body would delay the replica's other clients."""
METRICS_PATH = "/monitoring/prometheus/metrics"

# As in TensorFlow Serving, the case of the fixed parts of a path is ignored, except for the verb.
_MODEL = r"(?i:/v1/models/)([^/:]+)(?:(?i:/versions/)([0-9]+)|(?i:/labels/)([^/:]+))?"
_PREDICTION = re.compile(_MODEL + r":(classify|regress|predict)")
_STATE = re.compile(_MODEL + r"((?i:/metadata))?")
_LARGEST_VERSION = 2**63 - 1
_MAX_VERSION_DIGITS = 100
_DTYPES = {"DOUBLE": "DT_DOUBLE", "FLOAT": "DT_FLOAT", "STRING": "DT_STRING", "BOOL": "DT_BOOL"}

# Metrics have the names, labels and buckets that TensorFlow Serving publishes with `--monitoring_config_file`:
# latencies in microseconds, 33 buckets from 10 µs, each 1.8 times the one before.
_BOUNDS_US = [10 * 1.8**power for power in range(33)]

# TensorFlow's status codes for the HTTP statuses of a predict request.
_STATUS_CODES = {
    200: "OK",
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "OUT_OF_RANGE",
    415: "UNIMPLEMENTED",
    500: "INTERNAL",
}

Response = tuple[int, bytes]


class RestApi:
    """ASGI 3 application, HTTP only."""

    def __init__(self, *, model: str, version: int, servable: Servable) -> None:
        self._model = model
        self._version = version
        self._servable = servable
        self._metrics = _RequestMetrics(model)
        self._predict_paths = {f"/v1/models/{model}:predict", f"/v1/models/{model}/versions/{version}:predict"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        content_type = b"application/json"
        method, path = scope["method"], scope["path"]
        if method == "POST" and (path in self._predict_paths or self._is_predict_path(path)):
            message = await receive()
            body: bytes | None = message.get("body", b"")
            if message.get("more_body"):
                body = await _read_rest(receive, body or b"")
            started_ns = perf_counter_ns()
            status, answer = self._predict(body)
            if status == 400 and body and (coding := coding_of(scope["headers"])):  # packed, it was no JSON
                status, answer = self._predict_packed(body, coding)
            self._metrics.count(status, (perf_counter_ns() - started_ns) / 1000)
        elif path == METRICS_PATH and method == "GET":
            status, answer, content_type = 200, self._metrics.text().encode(), b"text/plain; version=0.0.4"
        else:
            status, answer = self._handle_other(method, path, scope["headers"])
        headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(answer))]
        if status == 415:
            headers.append((b"accept-encoding", ACCEPTED.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
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

    def _predict_packed(self, body: bytes, coding: str) -> Response:
        try:
            return self._predict(unpack(body, coding, limit=MAX_BODY_BYTES))
        except UnpackError as error:
            return _error(error.status, str(error))

    def _is_predict_path(self, path: str) -> bool:
        match = _PREDICTION.fullmatch(path)
        return bool(match and match[4] == "predict" and self._refusal(match, "") is None)

    def _handle_other(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Response:
        if method == "POST" and (match := _PREDICTION.fullmatch(path)):
            asked = f"Specific({match[1]}, {match[2]})" if match[2] else f"Latest({match[1]})"
            if refused := self._refusal(match, f"Servable not found for request: {asked}"):
                return refused
            expected = f"{'classification' if match[4] == 'classify' else 'regression'} signature method_name"
            found = f"to be tensorflow/serving/{match[4]}. Was: tensorflow/serving/predict"
            return _error(400, f"Expected {expected} {found}")
        if method == "GET" and (match := _STATE.fullmatch(path)):
            asked = f"version {match[2]} of model {match[1]}" if match[2] else f"any versions of model {match[1]}"
            if refused := self._refusal(match, f"Could not find {asked}"):
                return refused
            document = self._metadata() if match[4] else self._state()
            return 200, json.dumps(document, indent=1).encode() + b"\n"
        if path[:4].lower() != "/v1/":
            return _error(404, "Not Found")
        if method == "OPTIONS":
            return _answer_preflight(headers)
        return _error(400, f"Malformed request: {method} {path}")

    def _refusal(self, match: re.Match[str], not_found: str) -> Response | None:
        """Return the error if a path names another model or version than this one, or None."""
        model, version, label = match[1], match[2], match[3]
        if version and (len(version) > _MAX_VERSION_DIGITS or int(version) > _LARGEST_VERSION):
            return _error(400, f"Failed to convert version: {version[:_MAX_VERSION_DIGITS]} to numeric.")
        if label:
            return _error(400, f"Unrecognized servable version label: {label}")
        if model != self._model or (version and int(version) != self._version):
            return _error(404, not_found)
        return None

    def _state(self) -> object:
        # The only possible state: the port opens after the model has been loaded.
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(self._version), "state": "AVAILABLE", "status": status}]}

    def _metadata(self) -> object:
        definition = {SIGNATURE_NAME: _signature_def(self._servable.signature)}
        return {
            "model_spec": {"name": self._model, "signature_name": "", "version": str(self._version)},
            "metadata": {"signature_def": {"signature_def": definition}},
        }


def _answer_preflight(headers: Iterable[tuple[bytes, bytes]]) -> Response:
    """Answer OPTIONS as TensorFlow Serving without `--rest_api_enable_cors_support`, its default.

    The response has no Access-Control-Allow-Origin, so pages of other origins cannot read predictions.
    """
    origin = next((value for name, value in headers if name == b"origin"), b"")
    if origin.startswith((b"http://", b"https://")):
        return 200, b""
    return _error(400, "Origin header is missing in CORS preflight")


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
    number = _DTYPES[signature.output_type]
    outputs = {signature.predicted: _tensor_info(number, -1, 1)}
    if signature.task == "classification":
        width = len(signature.classes)
        outputs = {
            signature.predicted: _tensor_info("DT_STRING", -1, 1),
            signature.probabilities: _tensor_info(number, -1, width),
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


class _RequestMetrics:
    """Counts of predict requests since the process started, in Prometheus' text format."""

    def __init__(self, model: str) -> None:
        """Start at zero for `model`, a name without quotes or backslashes."""
        self._model = model
        self._by_status: dict[int, int] = {200: 0}
        self._by_bucket = [0] * (len(_BOUNDS_US) + 1)
        self._sum_us = 0.0

    def count(self, status: int, latency_us: float) -> None:
        """Add one predict request that was answered with the HTTP `status`."""
        self._by_status[status] = self._by_status.get(status, 0) + 1
        self._by_bucket[bisect_left(_BOUNDS_US, latency_us)] += 1
        self._sum_us += latency_us

    def text(self) -> str:
        """Return the exposition (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
        count, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
        labels = f'model_name="{self._model}",API="predict",entrypoint="REST"'
        lines = [f"# TYPE {count} counter"]
        lines += [
            f'{count}{{model_name="{self._model}",status="{_STATUS_CODES[status]}"}} {number}'
            for status, number in sorted(self._by_status.items())
        ]
        lines.append(f"# TYPE {latency} histogram")
        cumulative = list(accumulate(self._by_bucket))
        bounds = [f"{bound:g}" for bound in _BOUNDS_US] + ["+Inf"]
        buckets = zip(bounds, cumulative, strict=True)
        lines += [f'{latency}_bucket{{{labels},le="{bound}"}} {number}' for bound, number in buckets]
        lines += [f"{latency}_sum{{{labels}}} {self._sum_us:.0f}", f"{latency}_count{{{labels}}} {cumulative[-1]}"]
        return "\n".join(lines) + "\n"
