"""Smoke test of an endpoint: send a real request and check that the model can have given the prediction.

Used by every adapter that serves a version, in a process, a container or a cluster. Must not depend on the platform.
"""

import http.client
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from workers.contract.settings import Model
from workers.platforms.protocols import Instance
from workers.platforms.serving.signature import Signature

TIMEOUT_S = 5.0
"""Deadline of the request. A prediction takes about a millisecond: a reply this late is not coming."""


class SmokeTestFailed(Exception):
    """The endpoint did not reply, or its reply is wrong. The message is one line that says how."""


def expected_signature(model: Model) -> Signature:
    """Return the outputs that the settings imply, for models exported without `signature.json`."""
    classifier = model.type == "logistic_reg" or model.type.endswith("_classifier")
    return Signature(label=model.label, task="classification" if classifier else "regression", inputs=())


def asking(address: str, *, model: str, version: int) -> Callable[[Sequence[Instance]], list[Any]]:
    """Return a function that sends instances and returns the predictions, or raises SmokeTestFailed."""
    return lambda sample: _request(address, model=model, version=version, sample=sample)


def predict_once(address: str, *, model: str, version: int, sample: Sequence[Instance], signature: Signature) -> str:
    """Send `sample` to `version` of `model` at `address`. Return one fact about the first prediction.

    Raises SmokeTestFailed.
    """
    started_s = time.perf_counter()
    predictions = _request(address, model=model, version=version, sample=sample)
    took_ms = 1000 * (time.perf_counter() - started_s)
    if len(predictions) != len(sample):
        raise SmokeTestFailed(f"The endpoint returned {len(predictions)} predictions for {len(sample)} instances.")
    check = _check_classification if signature.task == "classification" else _check_regression
    facts = [check(prediction, signature) for prediction in predictions]
    return f"{facts[0]} in {took_ms:.1f} ms"


def _request(address: str, *, model: str, version: int, sample: Sequence[Instance]) -> list[Any]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT_S)
    try:
        connection.request(
            "POST",
            f"/v1/models/{model}/versions/{version}:predict",
            body=json.dumps({"instances": list(sample)}),
            headers={"Content-Type": "application/json", "Connection": "close"},
        )
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise SmokeTestFailed(f"The endpoint did not answer: {error or type(error).__name__}.") from error
    finally:
        connection.close()
    try:
        document = json.loads(body)
    except ValueError as error:
        raise SmokeTestFailed(f"The endpoint answered with {response.status} and no JSON.") from error
    if response.status != 200:
        raise SmokeTestFailed(f"The endpoint answered with {response.status}: {document.get('error')}")
    predictions = document.get("predictions")
    if not isinstance(predictions, list):
        raise SmokeTestFailed("The endpoint's answer has no predictions.")
    return predictions


def _check_classification(prediction: Any, signature: Signature) -> str:
    try:
        predicted = prediction[signature.predicted]
        label = predicted if isinstance(predicted, str) else predicted[0]
        values, probabilities = prediction[signature.values], prediction[signature.probabilities]
        total = math.fsum(probabilities)
    except (KeyError, IndexError, TypeError) as error:
        raise SmokeTestFailed(f"A prediction is not a classification: {json.dumps(prediction)[:200]}") from error
    if label not in values or len(values) != len(probabilities):
        raise SmokeTestFailed(f"The predicted {signature.label} {label!r} is not one of {', '.join(map(str, values))}.")
    if not math.isclose(total, 1, abs_tol=1e-3):  # also fails for NaN
        raise SmokeTestFailed(f"The probabilities add up to {total:g}, not to 1.")
    return f"{label} {probabilities[values.index(label)]:.2f}"


def _check_regression(prediction: Any, signature: Signature) -> str:
    match prediction:
        case [int() | float() as number] if math.isfinite(number):
            return f"{signature.label} {number:.4g}"
    raise SmokeTestFailed(f"A prediction is not one finite number: {json.dumps(prediction)[:200]}")
