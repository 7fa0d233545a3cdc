"""The endpoint process implements TensorFlow Serving's REST API."""

import http.client
import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.platforms.onnx_models import SAMPLE, classifier, regressor
from tests.platforms.serving_process import PREDICT, ServingProcess, read_reply, serving
from workers.platforms.serving.rest import MAX_BODY_BYTES
from workers.platforms.serving.servable import Servable
from workers.platforms.serving.tensors import InvalidRequest

GREEN = {"size": 3, "colour": "green", "ripe": False}


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    with serving(classifier(tmp_path_factory.mktemp("classifier"))) as process:
        yield process


@pytest.fixture(scope="module")
def price(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    with serving(regressor(tmp_path_factory.mktemp("regressor"))) as process:
        yield process


def test_classification_has_the_outputs_of_bigquery_ml(fruit: ServingProcess) -> None:
    reply = fruit.predict({"instances": [SAMPLE, GREEN]})
    assert reply.status == 200
    first, second = reply.document["predictions"]
    assert first["predicted_fruit"] == second["predicted_fruit"] == ["apple"]
    assert first["fruit_values"] == ["apple", "pear", "plum"]
    # Scores 2 + 1 + 1 = 4 for apple and 0 for the others.
    assert first["fruit_probs"][0] == pytest.approx(math.exp(4) / (math.exp(4) + 2))
    assert math.fsum(second["fruit_probs"]) == pytest.approx(1)


def test_regression_has_one_number_per_instance(price: ServingProcess) -> None:
    assert price.predict({"instances": [SAMPLE, GREEN]}).document == {"predictions": [[4.0], [5.0]]}


def test_single_instances_do_not_affect_each_other(price: ServingProcess) -> None:
    """The tensors of a single instance are reused."""
    for instance, expected in ((SAMPLE, 4.0), (GREEN, 5.0), (SAMPLE, 4.0)):
        assert price.predict({"instances": [instance]}).document == {"predictions": [[expected]]}


def test_column_format_is_answered_in_columns(fruit: ServingProcess, price: ServingProcess) -> None:
    """A single output has no name, several are named."""
    inputs = {"size": [2.0, 3], "colour": ["red", "green"], "ripe": [True, False]}
    assert price.predict({"inputs": inputs}).document == {"outputs": [[4.0], [5.0]]}
    outputs = fruit.predict({"inputs": inputs, "signature_name": "serving_default"}).document["outputs"]
    assert outputs["predicted_fruit"] == [["apple"], ["apple"]]
    assert outputs["fruit_values"] == [["apple", "pear", "plum"]] * 2
    assert len(outputs["fruit_probs"]) == 2


def test_only_the_served_version_is_found(fruit: ServingProcess) -> None:
    path = "/v1/models/fruit/versions/{}:predict"
    assert fruit.send("POST", path.format(3), {"instances": [SAMPLE]}).status == 200
    error = fruit.error({"instances": [SAMPLE]}, path.format(4))
    assert error == (404, "Servable not found for request: Specific(fruit, 4)")


def test_unknown_model_is_not_found(fruit: ServingProcess) -> None:
    error = fruit.error({"instances": [SAMPLE]}, "/v1/models/veg:predict")
    assert error == (404, "Servable not found for request: Latest(veg)")
    assert fruit.send("GET", "/v1/models/veg").document == {"error": "Could not find any versions of model veg"}
    missing = fruit.send("GET", "/v1/models/fruit/versions/9")
    assert (missing.status, missing.document) == (404, {"error": "Could not find version 9 of model fruit"})


@pytest.mark.parametrize("pieces", [1, 7, 400])
def test_pipelined_requests_are_answered_in_order(price: ServingProcess, pieces: int) -> None:
    """Three requests at once on one connection, the second invalid: whole, in pieces, byte by byte."""
    first = json.dumps({"instances": [SAMPLE]}).encode()
    expected = []
    sent = b""
    for body in (first, b"[]", first):
        sent += b"POST /v1/models/fruit:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        expected.append(price.predict(body))
    host, _, port = price.netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        length = -(-len(sent) // pieces)
        for start in range(0, len(sent), length):
            connection.sendall(sent[start : start + length])
        stream = connection.makefile("rb")
        for reply in expected:
            status = int(stream.readline().split()[1])
            headers = http.client.parse_headers(stream)
            document = json.loads(stream.read(int(headers["content-length"])))
            assert (status, document) == (reply.status, reply.document)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "The document is empty"),
        (b"{", "JSON Parse error"),
        (b"\xff\xfe\x00", "JSON Parse error"),
        (b"[" * 100_000, "JSON Parse error"),
        (b'{"instances": [{"size": ' + b"9" * 5000 + b"}]}", "JSON Parse error"),
        (b'{"instances": [{"size": 1, "colour": "\\ud800", "ripe": true}]}', "JSON Parse error"),
        ([SAMPLE], "Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [SAMPLE], "inputs": {}}, "expecting only one of"),
        ({"instances": {}}, "to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1.0]}, "expecting list of objects"),
        ({"instances": [SAMPLE, 1.0]}, "Expecting object but got list at item 1"),
        ({"instances": [SAMPLE, {"size": 1.0}]}, "Failed to process element: 1"),
        ({"instances": [{**SAMPLE, "size": "2"}]}, 'JSON Value: "2" Type: String is not of expected type: double'),
        ({"instances": [{**SAMPLE, "size": True}]}, "Type: True is not of expected type: double"),
        ({"instances": [{**SAMPLE, "size": None}]}, "Type: Null is not of expected type: double"),
        ({"instances": [{**SAMPLE, "size": [2.0]}]}, "Type: Array is not of expected type: double"),
        (b'{"instances": [{"size": 1' + b"0" * 309 + b"}]}", "Number too big to be stored in double"),
        (b'{"instances": [{"size": -1e400}]}', "Number too big to be stored in double"),
        ({"instances": [{**SAMPLE, "colour": 1}]}, "Type: Number is not of expected type: string"),
        ({"instances": [{**SAMPLE, "ripe": 1}]}, "Type: Number is not of expected type: bool"),
        ({"inputs": [1.0]}, "expecting an object"),
        ({"inputs": {"size": [1.0]}}, "Missing named input: colour"),
        ({"inputs": {"size": 1.0, "colour": ["red"], "ripe": [True]}}, "is not a list of values for input: size"),
        ({"inputs": {"size": [1.0, 2.0], "colour": ["red"], "ripe": [True]}}, "Expecting tensor size: 1 but got: 2"),
        ({"instances": [SAMPLE], "signature_name": "other"}, 'Serving signature name: "other" not found'),
        ({"instances": [SAMPLE], "signature_name": 1}, "'signature_name' key must be a string value"),
    ],
)  # fmt: skip
def test_invalid_predict_request_is_refused_in_the_words_of_tensorflow_serving(
    fruit: ServingProcess, body: object, error: str
) -> None:
    status, message = fruit.error(body)
    assert status == 400
    assert error in message
    assert len(message) < 500
    assert fruit.predict({"instances": [SAMPLE]}).status == 200


def test_too_large_body_is_refused_and_leaves_the_connection_usable(fruit: ServingProcess) -> None:
    connection = http.client.HTTPConnection(fruit.netloc, timeout=60)
    connection.request("POST", PREDICT, body=b" " * (MAX_BODY_BYTES + 1))
    assert read_reply(connection).status == 413
    pieces = (b" " * 65536 for _ in range(MAX_BODY_BYTES // 65536 + 1))
    connection.request("POST", PREDICT, body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert read_reply(connection).status == 413
    connection.request("POST", PREDICT, body=json.dumps({"instances": [SAMPLE] * 20_000}))
    assert len(read_reply(connection).document["predictions"]) == 20_000
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("PUT", PREDICT, 400, f"Malformed request: PUT {PREDICT}"),
        ("POST", "/v1/models/fruit", 400, "Malformed request: POST /v1/models/fruit"),
        ("GET", "/v1/nothing", 400, "Malformed request: GET /v1/nothing"),
        ("POST", "/v1/models/fruit:classify", 400, "Expected classification signature method_name"),
        ("GET", "/", 404, "Not Found"),
    ],
)
def test_other_paths_and_methods_are_refused(
    fruit: ServingProcess, method: str, path: str, status: int, error: str
) -> None:
    reply = fruit.send(method, path, b"{}")
    assert reply.status == status
    assert reply.document["error"].startswith(error)


def test_model_state_is_available(fruit: ServingProcess) -> None:
    state = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/fruit", "/v1/models/fruit/versions/3"):
        assert fruit.send("GET", path).document == {"model_version_status": [state]}


def test_metadata_has_types_and_shapes(fruit: ServingProcess) -> None:
    document = fruit.send("GET", "/v1/models/fruit/metadata").document
    assert document["model_spec"]["version"] == "3"
    definition = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: info["dtype"] for name, info in definition["inputs"].items()} == {
        "size": "DT_DOUBLE",
        "colour": "DT_STRING",
        "ripe": "DT_BOOL",
    }
    assert definition["outputs"]["fruit_probs"]["tensor_shape"]["dim"][1]["size"] == "3"
    assert definition["outputs"]["fruit_probs"]["dtype"] == "DT_DOUBLE"


@pytest.mark.parametrize("size", [1767225661, 1767225661.25, 2**52, 2**70, -1e300, 0.1])
def test_numbers_keep_64_bits(price: ServingProcess, size: float) -> None:
    """A Unix time keeps its second; float32 has steps of 128 s."""
    plain = {**SAMPLE, "size": size}
    for request in ({"instances": [plain]}, {"instances": [plain, plain]}):
        assert price.predict(request).document["predictions"][0] == [float(size) + 2]
    columns = {name: [value] for name, value in plain.items()}
    assert price.predict({"inputs": columns}).document == {"outputs": [[float(size) + 2]]}


def test_versions_of_earlier_releases_are_served_in_32_bits(tmp_path: Path) -> None:
    classification, regression = classifier(tmp_path / "c", number="FLOAT"), regressor(tmp_path / "r", number="FLOAT")
    with serving(regression) as process:
        assert process.predict({"instances": [{**SAMPLE, "size": 0.1}]}).document == {"predictions": [[2.1]]}
        status, error = process.error({"instances": [{**SAMPLE, "size": 1e99}]})
        assert status == 400
        assert error.endswith("Cannot convert JSON value: 1e+99 to float without loss of precision.")
        metadata = process.send("GET", "/v1/models/fruit/metadata").document["metadata"]
        definition = metadata["signature_def"]["signature_def"]["serving_default"]
        assert definition["inputs"]["size"]["dtype"] == definition["outputs"]["predicted_fruit"]["dtype"] == "DT_FLOAT"
    answer = json.loads(Servable(classification).predict(json.dumps({"instances": [SAMPLE]}).encode()))
    assert answer["predictions"][0]["predicted_fruit"] == ["apple"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "colour", "x"]), inner),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries({"size": st.floats(), "colour": st.text(max_size=5), "ripe": st.booleans()})


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Servable:
    """A regressor in this process."""
    return Servable(regressor(tmp_path_factory.mktemp("servable")))


@given(document=JSON | st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), JSON))
def test_any_document_gives_json_or_invalid_request(servable: Servable, document: object) -> None:
    try:
        json.loads(servable.predict(json.dumps(document).encode()))
    except InvalidRequest as error:
        assert str(error)


@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_rows_columns_and_single_instances_give_equal_numbers(servable: Servable, rows: list[dict[str, Any]]) -> None:
    def predict(request: object) -> Any:
        return json.loads(servable.predict(json.dumps(request).encode()))

    together = predict({"instances": rows})["predictions"]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    one_by_one = [predict({"instances": [row]})["predictions"][0] for row in rows]
    assert str(together) == str(predict({"inputs": columns})["outputs"]) == str(one_by_one)
