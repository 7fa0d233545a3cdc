"""HTTP server of one replica: uvicorn, extended to start and drain without a failed request.

Several replicas may share the listening socket. They take turns at accepting from its one queue of connections.
"""

import asyncio
import random
import socket
import sys
from collections.abc import Callable
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from workers.platforms.serving.acceptor import BACKLOG, Acceptor
from workers.platforms.serving.rest import RestApi

MAX_CONNECTION_AGE_S = 5.0
"""Age, plus or minus a fifth, at which the server closes a connection after the next response.

A kept-alive connection stays with the replica that accepted it: without a maximum age, new replicas would get no load
from existing clients. gRPC's MAX_CONNECTION_AGE has the same purpose (https://grpc.io/docs/guides/keepalive/). Short,
because a new replica must take its share of the load within seconds.
"""
IDLE_TIMEOUT_S = 75.0
"""nginx's default keepalive_timeout: longer than usual clients keep an idle connection."""
DRAIN_GRACE_S = 2.0
"""Time that a draining replica keeps idle connections open, to answer requests already on their way."""
REQUEST_GRACE_S = 10.0
"""Time that a draining replica waits for requests in progress."""
USES_ACCEPTOR = sys.platform == "linux"
"""True if shared sockets get an Acceptor. Otherwise the event loop accepts, and the replicas' shares are uneven."""


class _State(ServerState):
    draining = False


class _WriteCombiner:
    """A transport that combines all writes of one turn of the event loop.

    uvicorn 0.54 writes the head and the body of a response separately: two system calls and two segments, which is a
    third of the cost of a small response.
    """

    __slots__ = ("_call_soon", "_pieces", "_transport", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._write = transport.write
        self.is_closing = transport.is_closing
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._call_soon(self._flush)
        self._pieces.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            self._write(b"".join(self._pieces))
            self._pieces.clear()


class _Connection(HttpToolsProtocol):
    """A client's connection. It is closed only after a response with "connection: close", never during a request.

    Offers to continue in another protocol are ignored, which RFC 9110 allows (section 7.8): Java's HttpClient and
    `curl --http2` offer HTTP/2 with each request. httptools 0.9 stops after the head of such a request and reports its
    body as the start of the next one: https://github.com/MagicStack/httptools/issues/124.
    """

    server_state: _State

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_WriteCombiner(transport, self.loop))  # type: ignore[arg-type]
        self.expires_at_s = self.loop.time() + MAX_CONNECTION_AGE_S * random.uniform(0.8, 1.2)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        unread: bytes | memoryview = data
        try:
            while True:
                try:
                    self.parser.feed_data(unread)
                    return
                except httptools.HttpParserUpgrade as offer:
                    unread = memoryview(unread)[offer.args[0] :]
                    self._repeat_head_without_offer()
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.parser.should_upgrade():
            return  # skipped by uvicorn: the request has no cycle yet
        if self.server_state.draining or self.loop.time() > self.expires_at_s:
            self.cycle.keep_alive = False  # uvicorn adds "connection: close" and closes after the response
        elif not self.cycle.keep_alive and self.parser.should_keep_alive():  # HTTP/1.0, where keep-alive is an option
            self.cycle.keep_alive = True
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"keep-alive")]

    def _should_upgrade(self) -> bool:
        """Make uvicorn skip a request with an offer. uvicorn calls this only for such requests."""
        return True

    def _repeat_head_without_offer(self) -> None:
        """Parse the head of the last request again, without its offer. Raises HttpParserError for CONNECT."""
        if self.scope["method"] == "CONNECT":
            raise httptools.HttpParserError("A tunnel was requested.")
        start = f"{self.scope['method']} ".encode() + self.url + f" HTTP/{self.scope['http_version']}\r\n".encode()
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(b"".join([start, *fields, b"\r\n"]))


class ReplicaServer(uvicorn.Server):
    """uvicorn's server with a drain instead of its shutdown. Calls `announce` with "ready" and "draining".

    `shared`: other processes share the listening sockets.
    """

    server_state: _State

    def __init__(self, app: RestApi, *, shared: bool, announce: Callable[[str], None]) -> None:
        config = uvicorn.Config(
            app,
            http=_Connection,
            loop="uvloop",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=int(IDLE_TIMEOUT_S),
            timeout_graceful_shutdown=int(REQUEST_GRACE_S),
        )
        super().__init__(config)
        self.server_state = _State()
        self._uses_acceptor = shared and USES_ACCEPTOR
        self._acceptors: list[Acceptor] = []
        self._arriving: set[asyncio.Task[object]] = set()
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        if self._uses_acceptor:
            await super().startup([])
            self._acceptors = [Acceptor(listener, on_accept=self._add_connection) for listener in sockets or []]
        else:
            await super().startup(sockets)
        self._announce("ready")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, close each connection after its next response, then close the idle ones."""
        for acceptor in self._acceptors:
            await acceptor.stop()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()  # closes this process's descriptor only: other replicas continue to accept
        self.server_state.draining = True
        self._announce("draining")
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + DRAIN_GRACE_S
        while (self._arriving or self.server_state.connections) and loop.time() < deadline_s:
            await asyncio.sleep(0.02)
        await super().shutdown(None)

    def _add_connection(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        arrival = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._arriving.add(arrival)
        arrival.add_done_callback(self._arriving.discard)

    def _protocol(self) -> _Connection:
        return _Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
