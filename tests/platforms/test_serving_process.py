"""The endpoint process starts, shares its socket, drains and exits as its supervisor expects."""

import http.client
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.onnx_models import SAMPLE, classifier
from tests.platforms.serving_process import MODULE, PREDICT, ServingProcess, read_reply, run_serving, serving
from workers.platforms.serving.acceptor import listen
from workers.platforms.serving.server import DRAIN_GRACE_S

BODY = json.dumps({"instances": [SAMPLE]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("model"))


def with_constant(assignment: str) -> tuple[str, str]:
    """Return the command of a process in which a constant of the server differs."""
    return "-c", (
        f"from workers.platforms.serving import server; server.{assignment}\n"
        "from workers.platforms.serving.__main__ import main; main()"
    )


@contextmanager
def sharing(folder: Path, listener: socket.socket, *more: str, **popen: Any) -> Iterator[ServingProcess]:
    """Serve on a socket that is shared with other processes."""
    with serving(folder, "--fd", str(listener.fileno()), *more, pass_fds=[listener.fileno()], **popen) as process:
        yield process


def test_metrics_count_requests_by_status_and_latency(model: Path) -> None:
    """The exposition has TensorFlow Serving's counter and a histogram with consistent totals."""
    with serving(model) as replica:
        for body in ({"instances": [SAMPLE]}, {"instances": [SAMPLE]}, {}):
            replica.predict(body)
        text = replica.send("GET", "/monitoring/prometheus/metrics").document
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    count, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
    labels = 'model_name="fruit",API="predict",entrypoint="REST"'
    assert lines[f'{count}{{model_name="fruit",status="OK"}}'] == "2"
    assert lines[f'{count}{{model_name="fruit",status="INVALID_ARGUMENT"}}'] == "1"
    assert lines[f'{latency}_bucket{{{labels},le="+Inf"}}'] == lines[f"{latency}_count{{{labels}}}"] == "3"
    assert float(lines[f"{latency}_sum{{{labels}}}"]) > 0


@pytest.mark.parametrize("command", [MODULE, with_constant("USES_ACCEPTOR = False")])
def test_draining_replica_answers_requests_on_open_connections(model: Path, command: Sequence[str]) -> None:
    """After SIGTERM an open connection gets one more response and is closed; the shared socket stays open."""
    with listen(0) as listener, sharing(model, listener, command=command) as replica:
        used, idle = (http.client.HTTPConnection(replica.netloc, timeout=60) for _ in range(2))
        for connection in (used, idle):
            connection.request("POST", PREDICT, body=BODY)
            assert "connection" not in read_reply(connection).headers

        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.stdout is not None
        assert replica.process.stdout.readline().startswith("draining ")
        used.request("POST", PREDICT, body=BODY)
        reply = read_reply(used)
        assert (reply.status, reply.headers["connection"]) == (200, "close")

        late = http.client.HTTPConnection(replica.netloc, timeout=60)
        late.connect()  # the kernel queues it for the next process that accepts
        replica.process.wait(DRAIN_GRACE_S + 60)
        assert idle.sock is not None
        assert idle.sock.recv(1) == b""
        accepted, _ = listener.accept()
        accepted.close()
        for connection in (used, idle, late):
            connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system chooses")
def test_replicas_that_share_a_socket_accept_in_turn(model: Path) -> None:
    with listen(0) as listener, ExitStack() as exit_stack:
        replicas = [exit_stack.enter_context(sharing(model, listener, "--version", str(each))) for each in range(1, 5)]
        states = [replicas[0].send("GET", "/v1/models/fruit").document["model_version_status"] for _ in range(80)]
    answered = Counter(state["version"] for (state,) in states)
    assert min(answered[str(each)] for each in range(1, 5)) > 12, answered  # 20 each would be even


def test_old_connection_is_closed_after_a_response(model: Path) -> None:
    with serving(model, command=with_constant("MAX_CONNECTION_AGE_S = 0.2")) as replica:
        connection = http.client.HTTPConnection(replica.netloc, timeout=60)
        closed = 0
        while closed < 3:
            connection.request("POST", PREDICT, body=BODY)
            reply = read_reply(connection)
            assert reply.status == 200
            closed += reply.headers["connection"] == "close"
        connection.close()


def test_supervised_replica_exits_at_the_end_of_its_input(model: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\n")
    with serving(model, "--supervised", stdin=reading) as replica:
        os.close(reading)
        assert replica.send("GET", "/v1/models/fruit").status == 200
        os.close(writing)
        assert replica.process.wait(60) == 0


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "signature.json").unlink(), "signature.json cannot be read: No such file"),
        (lambda folder: (folder / "signature.json").write_text("{"), "signature.json is not JSON"),
        (lambda folder: (folder / "signature.json").write_text("{}"), "signature.json is not a signature: KeyError"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx cannot be loaded"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"no model"), "model.onnx cannot be loaded"),
        (
            lambda folder: (folder / "signature.json").write_text(
                (folder / "signature.json").read_text().replace("DOUBLE", "STRING", 1)
            ),
            "but its signature says",
        ),
    ],
)
def test_unusable_model_ends_the_process_with_one_line(tmp_path: Path, damage: Any, reason: str) -> None:
    damage(classifier(tmp_path))
    ended = run_serving(tmp_path)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_replica_that_fails_on_its_sample_does_not_become_ready(model: Path) -> None:
    ended = run_serving(model, "--supervised", input='{"instances": [{"size": 1}]}\n')
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("The model fails on its sample: Failed to process element: 0")
