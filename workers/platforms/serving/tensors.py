"""JSON values into tensors, as strictly as TensorFlow Serving and in its words.

One value an instance and feature, so that every tensor has the shape [instances, 1].
"""

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
_LONGEST_SHOWN = 200


class InvalidRequest(Exception):
    """The request's body is not a predict request for this model: TensorFlow's InvalidArgument, HTTP 400."""


class TensorFeature:
    """One input's way from JSON to ONNX Runtime."""

    __slots__ = ("_dtype", "check", "name", "one")

    def __init__(self, described: Input) -> None:
        self.name = described.name
        self.check, self._dtype = _KINDS[described.type]
        self.one: Tensor = numpy.zeros((1, 1), dtype=self._dtype)
        """The tensor of a single instance, used again for each: to make a new one takes longer than the inference.
        What is set there has passed `check`, which raises InvalidRequest."""

    def many(self, column: Sequence[Any]) -> Tensor:
        """A new tensor. Raises InvalidRequest."""
        for value in column:
            self.check(value)
        return numpy.array(column, dtype=self._dtype).reshape(-1, 1)


def shown(value: Any) -> str:
    """A JSON value as an error quotes it, cut to what a person reads."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "…"
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _check_float(value: Any) -> None:
    if type(value) is not float and type(value) is not int:
        raise _wrong_type(value, "float")
    # NaN and the infinities are numbers to TensorFlow Serving too.
    if not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT and (type(value) is int or math.isfinite(value)):
        raise InvalidRequest(f"Cannot convert JSON value: {shown(value)} to float without loss of precision.")


def _check_string(value: Any) -> None:
    if type(value) is not str:
        raise _wrong_type(value, "string")


def _check_bool(value: Any) -> None:
    if type(value) is not bool:
        raise _wrong_type(value, "bool")


_KINDS: Mapping[InputType, tuple[Callable[[Any], None], Any]] = {
    "FLOAT": (_check_float, numpy.float32),
    "STRING": (_check_string, numpy.object_),
    "BOOL": (_check_bool, numpy.bool_),
}


def _wrong_type(value: Any, wanted: str) -> InvalidRequest:
    found = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return InvalidRequest(f"JSON Value: {shown(value)} Type: {found} is not of expected type: {wanted}")
