"""The endpoint answers the HTTP of other clients: curl, Java's, and raw bytes over sockets."""

import gzip
import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pytest

from tests.platforms.onnx_models import SAMPLE, regressor
from tests.platforms.serving_process import PREDICT, ServingProcess, ServingReply, read_reply, serving
from workers.platforms.serving.rest import MAX_BODY_BYTES

BODY = json.dumps({"instances": [SAMPLE]}).encode()
PREDICTIONS: dict[str, Any] = {"predictions": [[4.0]]}
PACKED = gzip.compress(BODY, mtime=0)
JAVA = (
    b"Connection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\nHost: 127.0.0.1\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.16\r\nContent-Type: application/json\r\n\r\n"
) % len(BODY)
"""Headers of java.net.http.HttpClient with its default version, HTTP/2."""
CHUNKED = b"Connection: keep-alive, upgrade\r\nUpgrade: websocket, h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
POST = b"POST %b HTTP/1.1\r\n" % PREDICT.encode()


@pytest.fixture(scope="module")
def price(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    with serving(regressor(tmp_path_factory.mktemp("regressor"))) as process:
        yield process


def exchange(process: ServingProcess, segments: Sequence[bytes], *, replies: int) -> list[tuple[int, Any]]:
    """Send segments on one connection. Return status and document of each reply."""
    host, _, port = process.netloc.partition(":")
    found = []
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for segment in segments:
            connection.sendall(segment)
        stream = connection.makefile("rb")
        for _ in range(replies):
            while (status := int(stream.readline().split()[1])) == 100:
                assert stream.readline() == b"\r\n"
            headers = http.client.parse_headers(stream)
            body = stream.read(int(headers["content-length"]))
            is_json = headers["content-type"] == "application/json"
            found.append((status, json.loads(body) if is_json else body.decode()))
    return found


def curl(process: ServingProcess, *arguments: str, times: int = 1) -> subprocess.CompletedProcess[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-sS", *arguments, *[f"http://{process.netloc}{PREDICT}"] * times]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("segments", ["whole", "head and body", "bytes"])
@pytest.mark.parametrize("request_bytes", [(POST + JAVA, BODY), (POST + CHUNKED, CHUNKS)], ids=["length", "chunked"])
def test_offer_of_another_protocol_is_ignored(
    price: ServingProcess, request_bytes: tuple[bytes, bytes], segments: str
) -> None:
    """Three requests on one connection, each with an offer and a body."""
    sent = b"".join(request_bytes) * 3
    cut = {"whole": [sent], "head and body": list(request_bytes) * 3, "bytes": [bytes([one]) for one in sent]}
    assert exchange(price, cut[segments], replies=3) == [(200, PREDICTIONS)] * 3


def test_offer_without_a_body_and_requests_around_it_are_answered(price: ServingProcess) -> None:
    plain = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    offer = b"GET /v1/models/fruit HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    expecting = POST + JAVA.replace(b"User-Agent:", b"Expect: 100-continue\r\nUser-Agent:")
    first, state, second, third = exchange(price, [plain + offer + expecting, BODY + plain], replies=4)
    assert first == second == third == (200, PREDICTIONS)
    assert state[0] == 200
    assert state[1]["model_version_status"][0]["state"] == "AVAILABLE"


def test_tunnel_is_refused(price: ServingProcess) -> None:
    for offer in (b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"):
        tunnel = b"CONNECT example.org:443 HTTP/1.1\r\n" + offer + b"\r\n"
        assert exchange(price, [tunnel], replies=1) == [(400, "Invalid HTTP request received.")]
    assert price.predict(BODY).document == PREDICTIONS


def test_curl_that_offers_http_2_keeps_its_connection(price: ServingProcess) -> None:
    done = curl(price, "--http2", "--data", BODY.decode(), "--write-out", " %{http_code} %{num_connects}\n", times=3)
    if "HTTP/2" in done.stderr or "does not support" in done.stderr:
        pytest.skip("this curl has no HTTP/2")
    answer = '{"predictions":[[4.0]]} 200'
    assert done.stdout.splitlines() == [f"{answer} 1", f"{answer} 0", f"{answer} 0"]


def send_packed(process: ServingProcess, body: bytes, coding: str) -> tuple[ServingReply, ServingReply]:
    """Send a body with its Content-Encoding, and a plain request after it on the same connection."""
    connection = http.client.HTTPConnection(process.netloc, timeout=60)
    connection.request("POST", PREDICT, body=body, headers={"Content-Encoding": coding})
    replies = read_reply(connection)
    connection.request("POST", PREDICT, body=BODY)
    after = read_reply(connection)
    connection.close()
    return replies, after


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZip"])
def test_gzip_body_is_unpacked(price: ServingProcess, coding: str) -> None:
    packed, plain = send_packed(price, PACKED, coding)
    assert packed.document == plain.document == PREDICTIONS
    assert send_packed(price, BODY, "identity")[0].document == PREDICTIONS


@pytest.mark.parametrize(
    ("body", "coding", "status", "error"),
    [
        (gzip.compress(b" " * 50_000_000), "gzip", 413, f"larger than {MAX_BODY_BYTES} bytes when unpacked"),
        (gzip.compress(b" " * (MAX_BODY_BYTES + 1)), "gzip", 413, f"larger than {MAX_BODY_BYTES} bytes when unpacked"),
        (gzip.compress(b" " * MAX_BODY_BYTES), "gzip", 400, "JSON Parse error"),
        (gzip.compress(b"{}", mtime=0), "gzip", 400, "Missing 'inputs' or 'instances' key"),
        (PACKED[:-9], "gzip", 400, "the gzip data ends early"),
        (PACKED + b"x", "gzip", 400, "the gzip data has bytes after its end"),
        (PACKED[:-8] + b"wrong sum", "gzip", 400, "Content-Encoding is gzip, but the body is not"),
        (b"plain", "gzip", 400, "Content-Encoding is gzip, but the body is not"),
        (PACKED, "gzip, gzip", 415, "Content-Encoding 'gzip, gzip' is not accepted; send gzip or none"),
        (PACKED, "br", 415, "Content-Encoding 'br' is not accepted; send gzip or none"),
        (b"", "gzip", 400, "The document is empty"),
    ],
    ids=[
        "bomb", "byte too much", "largest", "no rows", "cut", "longer", "wrong sum", "plain", "twice", "br", "empty"
    ],
)  # fmt: skip
def test_packed_body_that_cannot_be_read_is_refused(
    price: ServingProcess, body: bytes, coding: str, status: int, error: str
) -> None:
    packed, plain = send_packed(price, body, coding)
    assert packed.status == status
    assert error in packed.document["error"]
    assert packed.headers["accept-encoding"] == ("gzip" if status == 415 else None)
    assert plain.document == PREDICTIONS


def test_refused_codings_are_counted(price: ServingProcess) -> None:
    send_packed(price, b"x", "br")
    lines = price.send("GET", "/monitoring/prometheus/metrics").document.splitlines()
    counts = [line.rsplit(" ", 1)[0] for line in lines if "request_count{" in line]
    assert len(set(counts)) == len(counts)
    assert any('status="UNIMPLEMENTED"' in line for line in counts)


def test_http_1_0_keeps_a_connection_that_asks_for_it(price: ServingProcess) -> None:
    """As `ab -k` does; a Connection: keep-alive in the response confirms it."""
    post = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Content-Length: %d\r\n" % len(BODY)
    kept, last = post + b"Connection: Keep-Alive\r\n\r\n" + BODY, post + b"\r\n" + BODY
    assert exchange(price, [kept, kept, last], replies=3) == [(200, PREDICTIONS)] * 3
    done = curl(price, "--http1.0", "-H", "Connection: keep-alive", "--data", BODY.decode(), "--include", times=2)
    assert done.stdout.lower().count("connection: keep-alive") == 2
    closed = curl(price, "--http1.0", "--data", BODY.decode(), "--include")
    assert "connection: close" in closed.stdout.lower()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/V1/Models/fruit:predict", 200),
        ("/v1/MODELS/fruit/VERSIONS/3:predict", 200),
        ("/v1/models/fruit/versions/0003:predict", 200),
        ("/v1/models/%66ruit:predict", 200),
        ("/v1/models/Fruit:predict", 404),
        ("/v1/models/fruit/versions/04:predict", 404),
        ("/v1/models/fruit:Predict", 400),
        ("/v1/models/fruit/labels/stable:predict", 400),
        ("/v1/models/fruit/versions/9223372036854775808:predict", 400),
        (f"/v1/models/fruit/versions/{'1' * 5000}:predict", 400),
        ("/v1/models/fruit/versions/\u0663:predict", 400),
    ],
    ids=range(11),
)
def test_case_of_a_path_is_ignored_but_not_of_names(price: ServingProcess, path: str, status: int) -> None:
    quoted = quote(path, safe="/:%")
    reply = price.send("POST", quoted, BODY)
    assert reply.status == status
    assert reply.document == PREDICTIONS if status == 200 else reply.document.keys() == {"error"}
    assert price.send("GET", quoted.partition(":")[0]).status == (200 if "Predict" in path else status)


def test_preflight_is_answered_without_permission(price: ServingProcess) -> None:
    """As TensorFlow Serving does by default."""
    ask = ("--request", "OPTIONS", "--include", "--header")
    allowed = curl(price, *ask, "Origin: https://example.org").stdout.lower()
    assert allowed.startswith("http/1.1 200") and "access-control" not in allowed
    refused = curl(price, *ask, "Accept: */*").stdout
    assert refused.startswith("HTTP/1.1 400") and "Origin header is missing in CORS preflight" in refused
    assert price.send("OPTIONS", "/").status == 404
