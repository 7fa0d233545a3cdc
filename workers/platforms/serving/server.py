"""The HTTP server of one replica: uvicorn, made to come and go without a failed request.

The listening socket may be shared by several replicas, each accepting in its turn from the one queue of connections.
"""

import asyncio
import random
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from workers.platforms.serving.acceptor import Acceptor
from workers.platforms.serving.listener import BACKLOG
from workers.platforms.serving.rest import RestApi

CONNECTION_AGE_S = 5.0
"""After how long, give or take a fifth, a kept connection is asked to come again.

A kept connection stays with the replica that accepted it: without an end to it a new replica would get no share of the
load of clients that were there before. gRPC's MAX_CONNECTION_AGE is there for the same reason
(https://grpc.io/docs/guides/keepalive/). Short, as a replica here lives to be of use within seconds.
"""

IDLE_S = 75.0
"""How long an idle connection is kept: nginx's default keepalive_timeout, longer than its usual clients keep it."""

DRAIN_GRACE_S = 2.0
"""How long a leaving replica leaves idle connections open, so that a request already on its way is answered."""

LONGEST_REQUEST_S = 10.0
"""How long a leaving replica waits for requests that it is working on."""

TAKES_TURNS = sys.platform == "linux"
"""Whether a shared socket has an Acceptor. Without one the event loop accepts, and the replicas' shares are uneven."""


class _State(ServerState):
    draining = False


class _OneWrite:
    """A transport that sends what is written within one turn of the loop in one piece.

    uvicorn 0.54 writes an answer's head and body apart, which is two system calls and two segments, a third of what
    a small answer costs.
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
    """A client's connection, which ends with an answer that says so, never under a request."""

    server_state: _State

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self.comes_again_at_s = self.loop.time() + CONNECTION_AGE_S * random.uniform(0.8, 1.2)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.server_state.draining or self.loop.time() > self.comes_again_at_s:
            self.cycle.keep_alive = False  # uvicorn adds "connection: close" and closes after the answer


class ReplicaServer(uvicorn.Server):
    """uvicorn's server with a drain in place of its shutdown. Tells `say` "ready" and "draining" as it goes.

    `shared`: the listening sockets are other processes' too.
    """

    server_state: _State

    def __init__(self, app: RestApi, *, shared: bool, say: Callable[[str], None]) -> None:
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
            timeout_keep_alive=int(IDLE_S),
            timeout_graceful_shutdown=int(LONGEST_REQUEST_S),
        )
        super().__init__(config)
        self.server_state = _State()
        self._takes_turns = shared and TAKES_TURNS
        self._acceptors: list[Acceptor] = []
        self._arriving: set[asyncio.Task[object]] = set()
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        if self._takes_turns:
            await super().startup([])
            self._acceptors = [Acceptor(listener, take=self._take) for listener in sockets or []]
        else:
            await super().startup(sockets)
        self._say("ready")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, answer what comes on kept connections with an end to them, then close the idle ones."""
        for acceptor in self._acceptors:
            await acceptor.stop()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()  # this process's hold on it only: others accept on
        self.server_state.draining = True
        self._say("draining")
        loop = asyncio.get_running_loop()
        ends_at_s = loop.time() + DRAIN_GRACE_S
        while (self._arriving or self.server_state.connections) and loop.time() < ends_at_s:
            await asyncio.sleep(0.02)
        await super().shutdown(None)

    def _take(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        arrival = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._arriving.add(arrival)
        arrival.add_done_callback(self._arriving.discard)

    def _protocol(self) -> _Connection:
        return _Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
