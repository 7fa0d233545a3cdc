"""Parser of the JSON of predict requests: orjson, and TensorFlow Serving's extensions of JSON."""

import json
import math
from typing import Any

import orjson

from workers.platforms.serving.tensors import InvalidRequest, quote_json


def parse(body: bytes) -> dict[str, Any]:
    """Return the request's object. Raises InvalidRequest."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        request = _parse_with_json(body)
    if type(request) is not dict:
        raise InvalidRequest(f"JSON Value: {quote_json(request)} Is not object")
    return request


def _parse_with_json(body: bytes) -> Any:
    """Parse NaN and the infinities, which TensorFlow Serving accepts and orjson does not. Raises InvalidRequest."""
    if not body:
        raise InvalidRequest("JSON Parse error: The document is empty at offset: 0")
    try:
        found = json.loads(body.decode(), parse_float=_parse_float, parse_int=_parse_int)
        json.dumps(found, ensure_ascii=False).encode()  # fails for half a surrogate pair
        return found
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:  # invalid UTF-8, a number of 5,000 digits, deep nesting
        raise InvalidRequest(f"JSON Parse error: {error}") from error


def _parse_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidRequest("JSON Parse error: Number too big to be stored in double.")
    return number


def _parse_int(digits: str) -> float:
    """Return a float beyond 64 bits, as orjson and TensorFlow Serving do."""
    return int(digits) if len(digits) < 20 else _parse_float(digits)
