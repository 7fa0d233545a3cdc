"""A wrong value in a predict request is reported with its row and its feature, in TensorFlow Serving's words."""

import json
from typing import Any

import pytest

from tests.platforms.onnx_models import SAMPLE, regressor
from workers.platforms.serving.conversion import Converter
from workers.platforms.serving.servable import Servable
from workers.platforms.serving.signature import Input
from workers.platforms.serving.tensors import InvalidRequest

COLUMNS = {name: [value] * 3 for name, value in SAMPLE.items()}


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Servable:
    return Servable(regressor(tmp_path_factory.mktemp("servable")))


def error(servable: Servable, request: object) -> str:
    """Return the error of a request, which does not affect the next one."""
    with pytest.raises(InvalidRequest) as caught:
        servable.predict(json.dumps(request).encode())
    assert json.loads(servable.predict(json.dumps({"instances": [SAMPLE]}).encode())) == {"predictions": [[4.0]]}
    return str(caught.value)


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize(
    ("changes", "key", "reason"),
    [
        ({"size": "2"}, "size", 'JSON Value: "2" Type: String is not of expected type: double'),
        ({"size": [2.0]}, "size", "JSON Value: [2.0] Type: Array is not of expected type: double"),
        ({"size": {"b64": "Mg=="}}, "size", 'JSON Value: {"b64": "Mg=="} Type: Object is not of expected type: double'),
        ({"colour": {"b64": "a"}}, "colour", 'JSON Value: {"b64": "a"} Unable to base64 decode: '),
        ({"colour": {"b64": "ré"}}, "colour", 'JSON Value: {"b64": "r\\u00e9"} Unable to base64 decode: '),
        (
            {"colour": {"b64": "/w=="}},
            "colour",
            'JSON Value: {"b64": "/w=="} is base64 of bytes that are not UTF-8 text',
        ),
        ({"colour": {"b64": 1}}, "colour", 'JSON Value: {"b64": 1} not formatted correctly for base64 data'),
        ({"colour": {}}, "colour", "JSON Value: {} not formatted correctly for base64 data"),
        ({"colour": 1}, "colour", "JSON Value: 1 Type: Number is not of expected type: string"),
        (
            {"ripe": None, "size": 1},
            "ripe",
            "JSON Value: null Type: Null is not of expected type: bool. Send true or false.",
        ),
        (
            {"size": None},
            "size",
            "JSON Value: null Type: Null is not of expected type: double. This model cannot take a missing number. "
            "Send one, such as the mean of size in training.",
        ),
        ({"taste": 1}, "taste", "JSON object: does not have named input: taste. The inputs are: colour,ripe,size"),
    ],
)
def test_wrong_value_or_key_is_reported_with_its_row(
    servable: Servable, before: int, changes: dict[str, Any], key: str, reason: str
) -> None:
    instances = [SAMPLE] * before + [{**SAMPLE, **changes}]
    expected = f"Failed to process element: {before} key: {key} of 'instances' list. Error: {reason}"
    assert error(servable, {"instances": instances}).startswith(expected)


def test_missing_keys_are_named(servable: Servable) -> None:
    assert error(servable, {"instances": [SAMPLE, {"ripe": True}]}) == (
        "Failed to process element: 1 of 'instances' list. JSON object: {\"ripe\": true} "
        "keys must be equal to: colour,ripe,size. Missing: colour,size"
    )


def test_first_wrong_row_is_reported(servable: Servable) -> None:
    """Values are checked by rows, not by features."""
    rows = [SAMPLE, {**SAMPLE, "ripe": 1}, {**SAMPLE, "size": "2"}]
    assert error(servable, {"instances": rows}).startswith("Failed to process element: 1 key: ripe of")
    assert error(servable, {"instances": [*rows[:1], 5, *rows[1:]]}) == (
        "Expecting object but got list at item 1 of input list"
    )


def test_wrong_value_in_a_column_is_reported_with_its_row(servable: Servable) -> None:
    inputs = {**COLUMNS, "colour": ["red", "green", False]}
    assert error(servable, {"inputs": inputs}) == (
        "Failed to process element: 2 key: colour of 'inputs' object. "
        "Error: JSON Value: false Type: False is not of expected type: string"
    )


def test_wrong_value_in_a_plain_list_is_reported_with_its_row() -> None:
    converter = Converter([Input(name="size", type="DOUBLE")])
    assert converter.from_instances([1, 2.5])["size"].tolist() == [[1.0], [2.5]]
    with pytest.raises(InvalidRequest, match=r"^Failed to process element: 1 of 'instances' list\. Error: JSON Value"):
        converter.from_instances([1, "2"])
    with pytest.raises(InvalidRequest, match="element: 1 key: size of 'inputs' object"):
        converter.from_inputs([1, "2"])


def test_many_features_give_a_short_error() -> None:
    converter = Converter([Input(name=f"feature_{number}", type="DOUBLE") for number in range(500)])
    with pytest.raises(InvalidRequest, match=r"Missing: feature_0,feature_1.*…") as caught:
        converter.from_instances([{}])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("padded", ["Z3JlZW4=", "Z3JlZW4"])
def test_strings_may_be_base64(servable: Servable, padded: str) -> None:
    """TensorFlow Serving's form of bytes: in a row, among rows, in a column and in a plain list."""
    plain, packed = {**SAMPLE, "colour": "green"}, {**SAMPLE, "colour": {"b64": padded}}
    for instances in ([packed], [plain, packed]):
        answer = json.loads(servable.predict(json.dumps({"instances": instances}).encode()))
        assert answer["predictions"] == [[5.0]] * len(instances)
    inputs = {**COLUMNS, "colour": ["green", {"b64": padded}, "green"]}
    assert json.loads(servable.predict(json.dumps({"inputs": inputs}).encode())) == {"outputs": [[5.0]] * 3}
    converter = Converter([Input(name="colour", type="STRING")])
    for values in ([{"b64": padded}], [{"b64": padded}, "green"], ["green", {"b64": padded}]):
        assert converter.from_instances(values)["colour"].tolist() == [["green"]] * len(values)


def test_nan_gives_nan(servable: Servable) -> None:
    """As in TensorFlow Serving, whose JSON has NaN and the infinities: a linear model does not impute."""
    for token in (b"NaN", b"Infinity", b"-Infinity"):
        body = b'{"instances": [{"size": %b, "colour": "red", "ripe": true}]}' % token
        assert servable.predict(body) == b'{"predictions": [[%b]]}' % token
