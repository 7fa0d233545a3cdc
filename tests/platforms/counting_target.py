"""Target for load tests: an HTTP server in a child process that counts requests and can misbehave.

`GET /count` returns the number of prediction requests, in all and by tenth of a second (of `time.monotonic()`).
`PUT /behaviour` takes one of BEHAVIOURS, or a maximum number of responses a second. `PUT /stall` blocks the server for
the given seconds.
"""

import asyncio
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

PREDICTIONS = b'{"predictions": [{"predicted_species": "versicolor"}]}'
OTHERS = b'{"predictions": [{"predicted_species": "setosa"}]}'
BEHAVIOURS = {
    "right": (200, PREDICTIONS),
    "right too": (200, OTHERS),
    "slow": (200, PREDICTIONS),
    "refusing": (503, b'{"error": "no room"}'),
    "mistaken": (200, b'{"error": "what?"}'),
    "garbled": (200, b"<html>"),
    "generous": (200, b'{"predictions": [{"predicted_species": "setosa"}, {"predicted_species": "setosa"}]}'),
    "undefined": (200, b'{"predictions": [{"predicted_species": NaN}]}'),
    "moved": (302, b""),
    "parting": (200, PREDICTIONS),
    "hanging": None,
    "resetting": None,
    "closing": None,
    "halving": None,
    "babbling": None,
}
SLOW_S = 1.0
INTERVALS = 10  # a second
TIMEOUT_S = 60.0


class CountingTarget:
    """Running server. With a `certificate` (PEM: key and certificates) it uses TLS."""

    def __init__(self, *, certificate: Path | None = None) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(4096)
            self.port = int(listener.getsockname()[1])
            command = [sys.executable, __file__, str(listener.fileno())]
            command += [str(certificate)] if certificate else []
            self.process = subprocess.Popen(command, pass_fds=[listener.fileno()])
        self.address = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.address}/v1/models/iris:predict"
        self._certificate = certificate

    @property
    def count(self) -> int:
        """Return the number of prediction requests."""
        return int(self.counted()["count"])

    def counted(self) -> dict[str, Any]:
        """Return the answer to `GET /count`."""
        with urlopen(f"{self.address}/count", timeout=TIMEOUT_S, context=self._trust()) as response:
            return dict(json.load(response))

    def behave(self, how: str) -> None:
        """Set one of BEHAVIOURS, or a maximum number of responses a second."""
        self._put("behaviour", how)

    def stall(self, seconds: float) -> None:
        """Block the server for `seconds`."""
        self._put("stall", str(seconds))

    def kill(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait()

    def _put(self, what: str, value: str) -> None:
        request = Request(f"{self.address}/{what}", data=value.encode(), method="PUT")
        urlopen(request, timeout=TIMEOUT_S, context=self._trust()).close()

    def _trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=str(self._certificate)) if self._certificate else None


class CountingState:
    """State shared by the server's connections."""

    def __init__(self) -> None:
        self.count = 0
        self.by_interval: Counter[int] = Counter()
        self.behaviour = "right"
        self.free_at_s = 0.0

    def due_s(self) -> float:
        """Return the time of the next response at the maximum rate."""
        self.free_at_s = max(self.free_at_s, time.monotonic()) + 1 / float(self.behaviour)
        return self.free_at_s


class CountedConnection(asyncio.Protocol):
    """One connection to the target."""

    def __init__(self, state: CountingState) -> None:
        import httptools

        self._state = state
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        state = self._state
        match self._url:
            case b"/count":
                self._respond(200, json.dumps({"count": state.count, "by_interval": state.by_interval}).encode())
            case b"/behaviour":
                state.behaviour = self._body.decode()
                self._respond(200, b"")
            case b"/stall":
                self._respond(200, b"")
                asyncio.get_running_loop().call_soon(time.sleep, float(self._body))
            case _:
                state.count += 1
                state.by_interval[int(time.monotonic() * INTERVALS)] += 1
                self._predict(state)

    def _predict(self, state: CountingState) -> None:
        match state.behaviour:
            case "hanging":
                pass
            case "slow":
                asyncio.get_running_loop().call_later(SLOW_S, self._respond, 200, PREDICTIONS)
            case "resetting":
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self._transport.abort()
            case "closing":
                self._transport.close()
            case "halving":
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                self._transport.close()
            case "babbling":
                self._transport.write(b"\x00\x01\x02 what?\r\n\r\n")
            case behaviour if response := BEHAVIOURS.get(behaviour):
                self._respond(*response)
            case _:
                asyncio.get_running_loop().call_at(self._loop_time(state.due_s()), self._respond, 200, PREDICTIONS)

    def _loop_time(self, at_s: float) -> float:
        return asyncio.get_running_loop().time() + at_s - time.monotonic()

    def _respond(self, status: int, body: bytes) -> None:
        location = "Location: http://127.0.0.1:1/\r\n" if status == 302 else ""
        parting = "Connection: close\r\n" if self._state.behaviour == "parting" else ""
        head = f"HTTP/1.1 {status} Response\r\n{location}{parting}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)
        if parting:
            self._transport.close()


async def serve(fd: int, certificate: str | None) -> None:
    """Serve on the listening socket `fd`."""
    state = CountingState()
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: CountedConnection(state), sock=socket.socket(fileno=fd), ssl=tls, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), *(sys.argv[2:] or [None])))
