"""Socket Mode: deliveries over WebSocket connections that the app opens.

https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import asyncio
import json
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.local_slack.refusal import JSON

MAX_CONNECTIONS = 10
# Slack gives about ten seconds' notice. Tests should not wait that long.
_NOTICE_S = 0.3


@dataclass(kw_only=True)
class SocketMode:
    """The open connections and the envelopes without an acknowledgement."""

    app_id: str
    _tickets: set[str] = field(default_factory=set)
    _connections: list[WebSocket] = field(default_factory=list)
    _waiting: dict[str, asyncio.Future[JSON | None]] = field(default_factory=dict)
    _turns: Iterator[int] = field(default_factory=count)

    @property
    def is_connected(self) -> bool:
        """Return True if at least one connection is open."""
        return bool(self._connections)

    def new_ticket(self) -> str:
        """Return a secret that opens one connection."""
        ticket = secrets.token_urlsafe(24)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, socket: WebSocket) -> None:
        """Send hello and take acknowledgements until the connection closes."""
        ticket = socket.query_params.get("ticket", "")
        if ticket not in self._tickets or len(self._connections) >= MAX_CONNECTIONS:
            await socket.close(code=1008)
            return
        self._tickets.discard(ticket)
        await socket.accept()
        self._connections.append(socket)
        try:
            await socket.send_json(self._hello())
            while True:
                self._acknowledge(await socket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            self._drop(socket)

    async def deliver(self, kind: str, payload: JSON, *, deadline_s: float, retry: JSON | None = None) -> JSON | None:
        """Send one envelope on any connection, and return the payload of its acknowledgement.

        Raises TimeoutError after `deadline_s`, and ConnectionError if no connection is open.
        """
        envelope_id = secrets.token_hex(16)
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
            **(retry or {}),
        }
        answer: asyncio.Future[JSON | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = answer
        try:
            await self._send(envelope)
            return await asyncio.wait_for(answer, deadline_s)
        finally:
            del self._waiting[envelope_id]

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask the app to reconnect, as Slack does before it restarts a host.

        Old connections get no further envelopes; their acknowledgements count until they are closed.
        """
        leaving = list(self._connections)
        for socket in leaving:
            self._drop(socket)
            await socket.send_json({"type": "disconnect", "reason": reason})
        await asyncio.sleep(_NOTICE_S)
        for socket in leaving:
            with suppress(RuntimeError, WebSocketDisconnect):  # The app has closed it.
                await socket.close()

    async def _send(self, envelope: JSON) -> None:
        while self._connections:
            socket = self._connections[next(self._turns) % len(self._connections)]
            try:
                await socket.send_json(envelope)
                return
            except (WebSocketDisconnect, RuntimeError):
                self._drop(socket)
        raise ConnectionError("no Socket Mode connection is open")

    def _acknowledge(self, text: str) -> None:
        try:
            answer = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(answer.get("envelope_id", "")) if isinstance(answer, dict) else None
        if waiting and not waiting.done():
            waiting.set_result(answer.get("payload"))

    def _drop(self, socket: WebSocket) -> None:
        if socket in self._connections:
            self._connections.remove(socket)

    def _hello(self) -> JSON:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "connection_info": {"app_id": self.app_id},
            "debug_info": {"host": "local-slack", "build_number": 1, "approximate_connection_time": 18060},
        }
