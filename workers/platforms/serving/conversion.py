"""Conversion of a predict request's rows ("instances") or columns ("inputs") to the tensors of a model.

The common case is converted column by column. If a value does not fit, the request is converted again value by value,
in the order of TensorFlow Serving: this takes the rarer forms of a value, and names the row and the feature at fault in
TensorFlow Serving's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workers.platforms.serving.signature import Input
from workers.platforms.serving.tensors import InvalidRequest, Tensor, TensorFeature, is_base64, quote_json, shorten


class Converter:
    """Converter for the inputs of one model. Its results are valid until the next call."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._features = [TensorFeature(item) for item in inputs]
        self._by_name = {feature.name: feature for feature in self._features}
        self._one = {feature.name: feature.one for feature in self._features}
        self._single = [(feature.name, feature.check, feature.one) for feature in self._features]

    def from_instances(self, instances: Any) -> dict[str, Tensor]:
        """Return a tensor per input from a list of rows. Raises InvalidRequest."""
        if not isinstance(instances, list):
            raise InvalidRequest(f"JSON Value: {quote_json(instances)} Expecting 'instances' to be an list/array")
        if not instances:
            raise InvalidRequest("JSON Value: [] No values in 'instances' array")
        width = len(self._features)
        if len(instances) == 1 and type(row := instances[0]) is dict and len(row) == width:
            return self._from_one(row)
        if not isinstance(instances[0], dict):
            return self._from_plain_list(instances)
        for row in instances:
            if type(row) is not dict or len(row) != width:
                return self._row_by_row(instances)
        try:
            return {item.name: item.many([row[item.name] for row in instances]) for item in self._features}
        except (KeyError, InvalidRequest):
            return self._row_by_row(instances)

    def from_inputs(self, inputs: Any) -> dict[str, Tensor]:
        """Return a tensor per input from an object of columns. Raises InvalidRequest."""
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
                column = quote_json(column)
                raise InvalidRequest(f"JSON Value: {column} is not a list of values for input: {feature.name}")
            feed[feature.name] = _from_column(feature, column, place=f" key: {feature.name} of 'inputs' object")
        sizes = sorted({len(column) for column in feed.values()})
        if len(sizes) > 1:
            raise InvalidRequest(f"Expecting tensor size: {sizes[0]} but got: {sizes[-1]}")
        return feed

    def _from_one(self, row: dict[str, Any]) -> dict[str, Tensor]:
        try:
            for name, check, tensor in self._single:
                value = row[name]
                check(value)
                tensor[0, 0] = value
        except (KeyError, InvalidRequest):
            return self._row_by_row([row])
        return self._one

    def _from_plain_list(self, values: Sequence[Any]) -> dict[str, Tensor]:
        if len(self._features) > 1:
            raise InvalidRequest(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (feature,) = self._features
        return {feature.name: _from_column(feature, values, place=" of 'instances' list")}

    def _row_by_row(self, instances: Sequence[Any]) -> dict[str, Tensor]:
        if len(self._features) == 1 and is_base64(instances[0]) and "b64" not in self._by_name:
            return self._from_plain_list(instances)
        rows = [self._from_row(number, row) for number, row in enumerate(instances)]
        return {item.name: item.tensor([row[item.name] for row in rows]) for item in self._features}

    def _from_row(self, number: int, row: Any) -> Mapping[str, Any]:
        if type(row) is not dict:
            raise InvalidRequest(f"Expecting object but got list at item {number} of input list")
        converted = {}
        for name, value in row.items():
            place = f" key: {name} of 'instances' list"
            if name not in self._by_name:
                known = _names(self._by_name)
                raise _wrong_element(
                    number, place, f"JSON object: does not have named input: {name}. The inputs are: {known}"
                )
            converted[name] = _convert(self._by_name[name], value, number, place)
        if missing := [name for name in self._by_name if name not in row]:
            raise InvalidRequest(
                f"Failed to process element: {number} of 'instances' list. JSON object: {quote_json(row)} "
                f"keys must be equal to: {_names(self._by_name)}. Missing: {_names(missing)}"
            )
        return converted


def _from_column(feature: TensorFeature, column: Sequence[Any], *, place: str) -> Tensor:
    try:
        return feature.many(column)
    except InvalidRequest:
        return feature.tensor([_convert(feature, value, number, place) for number, value in enumerate(column)])


def _convert(feature: TensorFeature, value: Any, number: int, place: str) -> Any:
    try:
        return feature.convert(value)
    except InvalidRequest as error:
        raise _wrong_element(number, place, str(error)) from error


def _wrong_element(number: int, place: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"Failed to process element: {number}{place}. Error: {reason}")


def _names(names: Iterable[str]) -> str:
    return shorten(",".join(sorted(names)))
