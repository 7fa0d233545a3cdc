"""Conversion of JSON values to tensors, with the type checks and error messages of TensorFlow Serving.

Each instance has one value per feature: every tensor has the shape [instances, 1].
"""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from workers.platforms.serving.signature import Input, InputType

Tensor = NDArray[Any]

_LARGEST_FLOAT = float(numpy.finfo(numpy.float32).max)
_JSON_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
_MAX_QUOTED_CHARACTERS = 200
NULL_STRING = "_null_filler"
"""Category of NULLs of a STRING column, as in BigQuery ML's exports. It exists only if training saw NULLs there."""


class InvalidRequest(Exception):
    """The request's body is not a predict request for this model. TensorFlow's InvalidArgument: HTTP 400."""


class TensorFeature:
    """Converter of one input from JSON to ONNX Runtime."""

    __slots__ = ("_dtype", "_input", "check", "name", "one")

    def __init__(self, described: Input) -> None:
        self.name = described.name
        self._input = described
        self.check, self._dtype = _KINDS[described.type]
        self.one: Tensor = numpy.zeros((1, 1), dtype=self._dtype)
        """The tensor of a single instance, reused by every request: a new one takes longer than the inference.
        Call `check`, which raises InvalidRequest, before setting a value."""

    def many(self, column: Sequence[Any]) -> Tensor:
        """Return a new tensor of values that pass `check`. Raises InvalidRequest."""
        for value in column:
            self.check(value)
        return self.tensor(column)

    def convert(self, value: Any) -> Any:
        """Return a value for `tensor`. Raises InvalidRequest."""
        if self._input.nullable and (value is None or (value == "" and self._input.type != "STRING")):
            return None  # NaN in a tensor of numbers
        if self._input.type == "STRING" and isinstance(value, dict):
            return _decode(value)
        try:
            self.check(value)
        except InvalidRequest as error:
            raise InvalidRequest(f"{error}. {_advice(self._input)}") if value is None else error from error
        return value

    def tensor(self, column: Sequence[Any]) -> Tensor:
        """Return a new tensor of converted values."""
        return numpy.array(column, dtype=self._dtype).reshape(-1, 1)


def quote_json(value: Any) -> str:
    """Return a JSON value for an error message, shortened."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "…"
    return shorten(text)


def shorten(text: str) -> str:
    """Return the text, or its beginning and "…" if it is too long for an error message."""
    return text if len(text) <= _MAX_QUOTED_CHARACTERS else text[:_MAX_QUOTED_CHARACTERS] + "…"


def _check_double(value: Any) -> None:
    if type(value) is not float and type(value) is not int:
        raise _wrong_type(value, "double")


def is_base64(value: Any) -> bool:
    """Return True for {"b64": "…"}, TensorFlow Serving's form of bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _decode(value: dict[str, Any]) -> str:
    """Return the string whose bytes are in {"b64": "…"}; padding may be missing. Raises InvalidRequest."""
    if not is_base64(value):
        raise InvalidRequest(f"JSON Value: {quote_json(value)} not formatted correctly for base64 data")
    text: str = value["b64"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"JSON Value: {quote_json(value)} is base64 of bytes that are not UTF-8 text") from error
    except ValueError as error:
        raise InvalidRequest(f"JSON Value: {quote_json(value)} Unable to base64 decode: {error}") from error


def _check_float(value: Any) -> None:
    if type(value) is not float and type(value) is not int:
        raise _wrong_type(value, "float")
    # TensorFlow Serving accepts NaN and the infinities.
    if not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT and (type(value) is int or math.isfinite(value)):
        raise InvalidRequest(f"Cannot convert JSON value: {quote_json(value)} to float without loss of precision.")


def _check_string(value: Any) -> None:
    if type(value) is not str:
        raise _wrong_type(value, "string")


def _check_bool(value: Any) -> None:
    if type(value) is not bool:
        raise _wrong_type(value, "bool")


def _advice(described: Input) -> str:
    """Return what to send for a missing value."""
    name, mean = described.name, described.mean
    if described.type == "STRING":
        return f'If {name} had NULLs in training, they were the string "{NULL_STRING}".'
    if described.type == "BOOL":
        return "Send true or false."
    example = f"{mean:.6g}, the mean of {name} in training" if mean is not None else f"the mean of {name} in training"
    return f"This model cannot take a missing number. Send one, such as {example}."


_KINDS: Mapping[InputType, tuple[Callable[[Any], None], Any]] = {
    "DOUBLE": (_check_double, numpy.float64),
    "FLOAT": (_check_float, numpy.float32),
    "STRING": (_check_string, numpy.object_),
    "BOOL": (_check_bool, numpy.bool_),
}


def _wrong_type(value: Any, expected: str) -> InvalidRequest:
    found = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return InvalidRequest(f"JSON Value: {quote_json(value)} Type: {found} is not of expected type: {expected}")
