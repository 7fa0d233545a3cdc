"""The endpoint process under test, and a client that sends it one request per connection."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
MODULE = ("-m", "workers.platforms.serving")
PREDICT = "/v1/models/fruit:predict"


class ServingReply(NamedTuple):
    """A response with its body parsed."""

    status: int
    document: Any
    headers: http.client.HTTPMessage


class ServingProcess(NamedTuple):
    """A running endpoint process."""

    process: subprocess.Popen[str]
    netloc: str

    def send(self, method: str, path: str, body: object = None) -> ServingReply:
        """Send one request on a new connection; `body` bytes as they are, anything else as JSON."""
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, body=data)
            return read_reply(connection)
        finally:
            connection.close()

    def predict(self, body: object) -> ServingReply:
        return self.send("POST", PREDICT, body)

    def error(self, body: object, path: str = PREDICT) -> tuple[int, str]:
        """Return status and message of the error response to a predict request."""
        reply = self.send("POST", path, body)
        assert reply.document.keys() == {"error"}
        return reply.status, reply.document["error"]


def read_reply(connection: http.client.HTTPConnection) -> ServingReply:
    response = connection.getresponse()
    body = response.read()
    is_json = response.headers["content-type"] == "application/json"
    return ServingReply(response.status, json.loads(body) if is_json else body.decode(), response.headers)


@contextmanager
def serving(folder: Path, *more: str, command: Sequence[str] = MODULE, **popen: Any) -> Iterator[ServingProcess]:
    """Serve the model in `folder` as version 3 of "fruit"."""
    arguments = ["--folder", str(folder), "--model", "fruit", "--version", "3", *more]
    process = subprocess.Popen(
        [sys.executable, *command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, **popen
    )
    try:
        assert process.stdout is not None
        word, address = process.stdout.readline().split()
        assert word == "ready"
        yield ServingProcess(process, address.removeprefix("http://"))
    finally:
        process.kill()
        process.communicate()


def run_serving(folder: Path, *more: str, **run: Any) -> subprocess.CompletedProcess[str]:
    """Run a process that is expected to fail, until it ends."""
    command = [sys.executable, *MODULE, "--folder", str(folder), "--model", "fruit", "--version", "1", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **run)
