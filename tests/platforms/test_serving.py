"""The endpoint process speaks TensorFlow Serving's REST API, refuses what that refuses, and leaves gracefully."""

import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.platforms.onnx_models import SAMPLE, classifier, regressor
from workers.platforms.serving.listener import listen
from workers.platforms.serving.rest import LARGEST_BODY_BYTES
from workers.platforms.serving.servable import Servable
from workers.platforms.serving.server import DRAIN_GRACE_S
from workers.platforms.serving.tensors import InvalidRequest

ROOT = Path(__file__).parents[2]
PREDICT = "/v1/models/fruit:predict"
GREEN = {"size": 3, "colour": "green", "ripe": False}


class Answer(NamedTuple):
    status: int
    document: Any
    headers: http.client.HTTPMessage


class Replica(NamedTuple):
    """A running endpoint process."""

    process: subprocess.Popen[str]
    netloc: str

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """One request on a connection of its own; `body` bytes as they are, anything else as JSON."""
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, body=data)
            return _read(connection)
        finally:
            connection.close()

    def refusal(self, body: object, path: str = PREDICT) -> tuple[int, str]:
        """EndpointStatus and error of a predict request that is wrong."""
        answer = self.ask("POST", path, body)
        assert answer.document.keys() == {"error"}
        return answer.status, answer.document["error"]


def _read(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    body = response.read()
    json_type = response.headers["content-type"] == "application/json"
    return Answer(response.status, json.loads(body) if json_type else body.decode(), response.headers)


@contextmanager
def serving(
    folder: Path, *more: str, command: Sequence[str] = ("-m", "workers.platforms.serving"), **popen: Any
) -> Iterator[Replica]:
    """Serve the model in `folder` as version 3 of "fruit"."""
    arguments = ["--folder", str(folder), "--model", "fruit", "--version", "3", *more]
    process = subprocess.Popen(
        [sys.executable, *command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, **popen
    )
    try:
        assert process.stdout is not None
        word, address = process.stdout.readline().split()
        assert word == "ready"
        yield Replica(process, address.removeprefix("http://"))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A classifier."""
    with serving(classifier(tmp_path_factory.mktemp("classifier"))) as replica:
        yield replica


@pytest.fixture(scope="module")
def price(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A regressor."""
    with serving(regressor(tmp_path_factory.mktemp("regressor"))) as replica:
        yield replica


def test_a_classification_is_answered_as_bigquery_ml_names_it(fruit: Replica) -> None:
    """Each instance gets its label, the probabilities and the values that they belong to."""
    answer = fruit.ask("POST", PREDICT, {"instances": [SAMPLE, GREEN]})
    assert answer.status == 200
    first, second = answer.document["predictions"]
    assert first["predicted_fruit"] == second["predicted_fruit"] == ["apple"]
    assert first["fruit_values"] == ["apple", "pear", "plum"]
    # Scores 2 + 1 + 1 = 4 for apple and 0 for the others.
    assert first["fruit_probs"][0] == pytest.approx(math.exp(4) / (math.exp(4) + 2))
    assert math.fsum(second["fruit_probs"]) == pytest.approx(1)


def test_a_regression_is_one_number_an_instance(price: Replica) -> None:
    """The row format holds one list an instance, in the order asked."""
    answer = price.ask("POST", PREDICT, {"instances": [SAMPLE, GREEN]})
    assert answer.document == {"predictions": [[4.0], [5.0]]}


def test_one_instance_is_answered_as_it_is_among_others(price: Replica) -> None:
    """What is used again from one request to the next leaves no trace."""
    for instance, expected in ((SAMPLE, 4.0), (GREEN, 5.0), (SAMPLE, 4.0)):
        assert price.ask("POST", PREDICT, {"instances": [instance]}).document == {"predictions": [[expected]]}


def test_the_column_format_is_answered_in_columns(fruit: Replica, price: Replica) -> None:
    """A single output stands alone, several are named."""
    inputs = {"size": [2.0, 3], "colour": ["red", "green"], "ripe": [True, False]}
    assert price.ask("POST", PREDICT, {"inputs": inputs}).document == {"outputs": [[4.0], [5.0]]}
    outputs = fruit.ask("POST", PREDICT, {"inputs": inputs, "signature_name": "serving_default"}).document["outputs"]
    assert outputs["predicted_fruit"] == [["apple"], ["apple"]]
    assert outputs["fruit_values"] == [["apple", "pear", "plum"]] * 2
    assert len(outputs["fruit_probs"]) == 2


def test_a_version_can_be_named(fruit: Replica) -> None:
    """The version served answers under its number, any other is not found."""
    path = "/v1/models/fruit/versions/{}:predict"
    assert fruit.ask("POST", path.format(3), {"instances": [SAMPLE]}).status == 200
    assert fruit.refusal({"instances": [SAMPLE]}, path.format(4)) == (
        404,
        "Servable not found for request: Specific(fruit, 4)",
    )


def test_an_unknown_model_is_not_found(fruit: Replica) -> None:
    """Predictions and states of other models are refused in TensorFlow Serving's words."""
    refusal = fruit.refusal({"instances": [SAMPLE]}, "/v1/models/veg:predict")
    assert refusal == (404, "Servable not found for request: Latest(veg)")
    assert fruit.ask("GET", "/v1/models/veg").document == {"error": "Could not find any versions of model veg"}
    missing = fruit.ask("GET", "/v1/models/fruit/versions/9")
    assert (missing.status, missing.document) == (404, {"error": "Could not find version 9 of model fruit"})


@pytest.mark.parametrize("pieces", [1, 2, 7, 400])
def test_requests_are_answered_in_their_order_however_they_come(price: Replica, pieces: int) -> None:
    """Three requests at once on one connection, the second of which is wrong: whole, cut anywhere, byte by byte."""
    first = json.dumps({"instances": [SAMPLE]}).encode()
    wanted = []
    sent = b""
    for body in (first, b"[]", first):
        sent += b"POST /v1/models/fruit:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        wanted.append(price.ask("POST", PREDICT, body))
    host, _, port = price.netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        length = -(-len(sent) // pieces)
        for start in range(0, len(sent), length):
            connection.sendall(sent[start : start + length])
        answers = connection.makefile("rb")
        for one in wanted:
            status = int(answers.readline().split()[1])
            head = http.client.parse_headers(answers)
            document = json.loads(answers.read(int(head["content-length"])))
            assert (status, document) == (one.status, one.document)


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
        ({"instances": [{**SAMPLE, "taste": 1}]}, "keys must be equal to: colour,ripe,size"),
        ({"instances": [{"size": 1.0, "colour": "red", "taste": 1}]}, "keys must be equal to: colour,ripe,size"),
        ({"instances": [{**SAMPLE, "size": "2"}]}, 'JSON Value: "2" Type: String is not of expected type: float'),
        ({"instances": [{**SAMPLE, "size": True}]}, "Type: True is not of expected type: float"),
        ({"instances": [{**SAMPLE, "size": None}]}, "Type: Null is not of expected type: float"),
        ({"instances": [{**SAMPLE, "size": [2.0]}]}, "Type: Array is not of expected type: float"),
        ({"instances": [{**SAMPLE, "size": 1e99}]}, "to float without loss of precision"),
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
def test_what_is_no_predict_request_is_refused_with_the_reason(fruit: Replica, body: object, error: str) -> None:
    """Each mistake is 400 with TensorFlow Serving's words, and the replica serves on."""
    status, words = fruit.refusal(body)
    assert status == 400
    assert error in words
    assert len(words) < 500
    assert fruit.ask("POST", PREDICT, {"instances": [SAMPLE]}).status == 200


def test_a_body_that_is_too_large_is_refused(fruit: Replica) -> None:
    """413, however the body is sent, on a connection that stays usable."""
    connection = http.client.HTTPConnection(fruit.netloc, timeout=60)
    connection.request("POST", PREDICT, body=b" " * (LARGEST_BODY_BYTES + 1))
    assert _read(connection).status == 413
    pieces = (b" " * 65536 for _ in range(LARGEST_BODY_BYTES // 65536 + 1))
    connection.request("POST", PREDICT, body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert _read(connection).status == 413
    connection.request("POST", PREDICT, body=json.dumps({"instances": [SAMPLE] * 20_000}))
    assert len(_read(connection).document["predictions"]) == 20_000
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
def test_other_paths_and_methods_are_refused(fruit: Replica, method: str, path: str, status: int, error: str) -> None:
    """TensorFlow Serving's statuses: a malformed request is 400, what is outside the API 404."""
    answer = fruit.ask(method, path, b"{}")
    assert answer.status == status
    assert answer.document["error"].startswith(error)


def test_the_state_is_available(fruit: Replica) -> None:
    """The model's state, with and without a version."""
    state = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/fruit", "/v1/models/fruit/versions/3"):
        assert fruit.ask("GET", path).document == {"model_version_status": [state]}


def test_the_metadata_tells_types_and_shapes(fruit: Replica) -> None:
    """The signature is there under TensorFlow's names."""
    document = fruit.ask("GET", "/v1/models/fruit/metadata").document
    assert document["model_spec"]["version"] == "3"
    definition = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: info["dtype"] for name, info in definition["inputs"].items()} == {
        "size": "DT_FLOAT",
        "colour": "DT_STRING",
        "ripe": "DT_BOOL",
    }
    assert definition["outputs"]["fruit_probs"]["tensor_shape"]["dim"][1]["size"] == "3"


def test_requests_are_counted_by_status_and_latency(tmp_path: Path) -> None:
    """The exposition holds TensorFlow Serving's counter and a histogram whose buckets add up."""
    with serving(classifier(tmp_path)) as replica:
        for body in ({"instances": [SAMPLE]}, {"instances": [SAMPLE]}, {}):
            replica.ask("POST", PREDICT, body)
        lines = dict(
            line.rsplit(" ", 1)
            for line in replica.ask("GET", "/monitoring/prometheus/metrics").document.splitlines()
            if not line.startswith("#")
        )
    count, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
    labels = 'model_name="fruit",API="predict",entrypoint="REST"'
    assert lines[f'{count}{{model_name="fruit",status="OK"}}'] == "2"
    assert lines[f'{count}{{model_name="fruit",status="INVALID_ARGUMENT"}}'] == "1"
    assert lines[f'{latency}_bucket{{{labels},le="+Inf"}}'] == lines[f"{latency}_count{{{labels}}}"] == "3"
    assert float(lines[f"{latency}_sum{{{labels}}}"]) > 0


@contextmanager
def sharing(folder: Path, listener: socket.socket, *more: str, **popen: Any) -> Iterator[Replica]:
    """Serve on a socket that others have too."""
    with serving(folder, "--fd", str(listener.fileno()), *more, pass_fds=[listener.fileno()], **popen) as replica:
        yield replica


WITHOUT_TURNS = (
    "from workers.platforms.serving import server; server.TAKES_TURNS = False\n"
    "from workers.platforms.serving.__main__ import main; main()"
)


@pytest.mark.parametrize("command", [("-m", "workers.platforms.serving"), ("-c", WITHOUT_TURNS)])
def test_a_leaving_replica_answers_what_it_has_and_what_comes_on_kept_connections(
    tmp_path: Path, command: Sequence[str]
) -> None:
    """After SIGTERM a kept connection gets its answer with an end to it; the shared socket stays open for others."""
    with listen(0) as listener, sharing(classifier(tmp_path), listener, command=command) as replica:
        used, idle = (http.client.HTTPConnection(replica.netloc, timeout=60) for _ in range(2))
        for connection in (used, idle):
            connection.request("POST", PREDICT, body=json.dumps({"instances": [SAMPLE]}))
            assert "connection" not in _read(connection).headers

        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.stdout is not None
        assert replica.process.stdout.readline().startswith("draining ")
        used.request("POST", PREDICT, body=json.dumps({"instances": [SAMPLE]}))
        answer = _read(used)
        assert (answer.status, answer.headers["connection"]) == (200, "close")

        late = http.client.HTTPConnection(replica.netloc, timeout=60)
        late.connect()  # the kernel takes it for whoever accepts next
        replica.process.wait(DRAIN_GRACE_S + 60)
        assert idle.sock is not None
        assert idle.sock.recv(1) == b""
        accepted, _ = listener.accept()
        accepted.close()
        for connection in (used, idle, late):
            connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system chooses")
def test_replicas_that_share_a_socket_accept_in_turn(tmp_path: Path) -> None:
    """Clients that come one after the other are spread over all, however idle these are."""
    folder = classifier(tmp_path)
    with listen(0) as listener, ExitStack() as exit_stack:
        replicas = [exit_stack.enter_context(sharing(folder, listener, "--version", str(each))) for each in range(1, 5)]
        states = [replicas[0].ask("GET", "/v1/models/fruit").document["model_version_status"] for _ in range(80)]
    answered = Counter(state["version"] for (state,) in states)
    assert min(answered[str(each)] for each in range(1, 5)) > 12, answered  # 20 each would be even


def test_a_kept_connection_is_asked_to_come_again(tmp_path: Path) -> None:
    """So that a client that was there first reaches replicas that came later; no request is lost by it."""
    code = (
        "from workers.platforms.serving import server; server.CONNECTION_AGE_S = 0.2\n"
        "from workers.platforms.serving.__main__ import main; main()"
    )
    with serving(classifier(tmp_path), command=["-c", code]) as replica:
        connection = http.client.HTTPConnection(replica.netloc, timeout=60)
        asked_to_leave = 0
        while asked_to_leave < 3:
            connection.request("POST", PREDICT, body=json.dumps({"instances": [SAMPLE]}))
            answer = _read(connection)
            assert answer.status == 200
            asked_to_leave += answer.headers["connection"] == "close"
        connection.close()


def test_a_supervised_replica_leaves_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    """The end of its standard input is the end of it."""
    reading, writing = os.pipe()
    os.write(writing, b"\n")
    with serving(classifier(tmp_path), "--supervised", stdin=reading) as replica:
        os.close(reading)
        assert replica.ask("GET", "/v1/models/fruit").status == 200
        os.close(writing)
        assert replica.process.wait(60) == 0


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "signature.json").unlink(), "signature.json cannot be read: No such file"),
        (lambda folder: (folder / "signature.json").write_text("{"), "signature.json is not JSON"),
        (lambda folder: (folder / "signature.json").write_text("{}"), "signature.json is not a signature: KeyError"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx cannot be loaded"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "model.onnx cannot be loaded"),
        (
            lambda folder: (folder / "signature.json").write_text(
                (folder / "signature.json").read_text().replace("FLOAT", "STRING")
            ),
            "but its signature says",
        ),
    ],
)
def test_a_model_that_cannot_be_served_is_told_in_one_line(tmp_path: Path, spoil: Any, reason: str) -> None:
    """Exit status 1, one line on standard error, no traceback."""
    spoil(classifier(tmp_path))
    command = [sys.executable, "-m", "workers.platforms.serving", "--folder", str(tmp_path), "--model", "fruit"]
    ended = subprocess.run([*command, "--version", "1"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_model_that_does_not_answer_its_sample_is_not_served(tmp_path: Path) -> None:
    """A warm-up that the model refuses ends the replica before it is ready."""
    command = [sys.executable, "-m", "workers.platforms.serving", "--folder", str(classifier(tmp_path))]
    ended = subprocess.run(
        [*command, "--model", "fruit", "--version", "1", "--supervised"],
        cwd=ROOT,
        input='{"instances": [{"size": 1}]}\n',
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("The model does not answer its sample: Failed to process element: 0")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "colour", "x"]), inner),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries({"size": st.floats(width=32), "colour": st.text(max_size=5), "ripe": st.booleans()})


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Servable:
    """A regressor in this process."""
    return Servable(regressor(tmp_path_factory.mktemp("servable")))


@given(document=JSON | st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), JSON))
def test_no_document_is_answered_with_anything_but_a_refusal_or_json(servable: Servable, document: object) -> None:
    """Nothing a client can write makes the model's code fail in another way."""
    try:
        json.loads(servable.predict(json.dumps(document).encode()))
    except InvalidRequest as refusal:
        assert str(refusal)


@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_rows_and_columns_are_answered_alike(servable: Servable, rows: list[dict[str, Any]]) -> None:
    """The two formats, and instances asked one by one, give the same numbers."""

    def ask(request: object) -> Any:
        return json.loads(servable.predict(json.dumps(request).encode()))

    together = ask({"instances": rows})["predictions"]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    one_by_one = [ask({"instances": [row]})["predictions"][0] for row in rows]
    assert str(together) == str(ask({"inputs": columns})["outputs"]) == str(one_by_one)
