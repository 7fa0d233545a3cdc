"""JSON values into tensors, as strictly as TensorFlow Serving and in its words. Pure.

One value an instance and feature, so that every tensor has the shape [instances, 1].
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from workers.platforms.serving.signature import InputType

Column = Sequence[Any]
Tensor = NDArray[Any]

_LARGEST_FLOAT = float(numpy.finfo(numpy.float32).max)
_JSON_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
_LONGEST_SHOWN = 200


class InvalidRequest(Exception):
    """The request's body is not a predict request for this model: TensorFlow's InvalidArgument, HTTP 400."""


def floats(column: Column) -> Tensor:
    """Numbers as float32, NaN and Infinity among them. Raises InvalidRequest, also where one is out of range."""
    for value in column:
        if type(value) is not float and type(value) is not int:
            raise _wrong_type(value, "float")
        if not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT and (type(value) is int or math.isfinite(value)):
            raise InvalidRequest(f"Cannot convert JSON value: {shown(value)} to float without loss of precision.")
    return numpy.array(column, dtype=numpy.float32).reshape(-1, 1)


def strings(column: Column) -> Tensor:
    """Strings. Raises InvalidRequest."""
    for value in column:
        if type(value) is not str:
            raise _wrong_type(value, "string")
    return numpy.array(column, dtype=object).reshape(-1, 1)


def booleans(column: Column) -> Tensor:
    """Booleans. Raises InvalidRequest."""
    for value in column:
        if type(value) is not bool:
            raise _wrong_type(value, "bool")
    return numpy.array(column, dtype=numpy.bool_).reshape(-1, 1)


TENSORS: Mapping[InputType, Callable[[Column], Tensor]] = {"FLOAT": floats, "STRING": strings, "BOOL": booleans}


def shown(value: Any) -> str:
    """A JSON value as an error quotes it, cut to what a person reads."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "…"
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _wrong_type(value: Any, wanted: str) -> InvalidRequest:
    found = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return InvalidRequest(f"JSON Value: {shown(value)} Type: {found} is not of expected type: {wanted}")
