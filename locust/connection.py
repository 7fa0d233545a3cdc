"""Non-blocking HTTP/1.1 connection on gevent's event loop. It needs no greenlet of its own."""

import os
import ssl
from errno import EINPROGRESS
from typing import Any, Protocol

import httptools
from destination import Destination
from gevent.monkey import get_original
from http_responses import Response, ResponseReader

_READ, _WRITE = 1, 2  # libev's EV_READ and EV_WRITE
_socket: Any = get_original("socket", "socket")  # gevent's own socket blocks greenlets
_AF_INET, _AF_INET6, _STREAM, _TCP, _NODELAY, _SOCKET, _ERROR = get_original(
    "socket", ["AF_INET", "AF_INET6", "SOCK_STREAM", "IPPROTO_TCP", "TCP_NODELAY", "SOL_SOCKET", "SO_ERROR"]
)
_READ_BYTES = 65536

NO_RESPONSE = "connection closed without a response"
PARTIAL_RESPONSE = "connection closed mid-response"
NOT_HTTP = "not an HTTP response"


class ConnectionOwner(Protocol):
    """Owner of an idle connection. Called from the event loop; must not block."""

    def on_open(self, connection: "Connection") -> None:
        """Take an open connection."""

    def on_lost(self, connection: "Connection") -> None:
        """Remove a closed connection: it failed, or the server sent unrequested bytes."""


class ResponseHandler(Protocol):
    """Sender of the request under way. Called from the event loop; must not block."""

    def on_response(self, connection: "Connection", response: Response) -> None:
        """Take the response."""

    def on_failure(self, connection: "Connection", reason: str) -> None:
        """Record the failure of the request; the connection is closed. The same cause has the same `reason`."""


class Tls:
    """TLS state of one connection: bytes in, bytes out. It touches no socket.

    `receive`, `send` and `begin` raise ssl.SSLError if the peer cannot be trusted or breaks the protocol.
    """

    def __init__(self, context: ssl.SSLContext, *, server: str) -> None:
        self.ready = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server)

    def begin(self) -> bytes:
        self._shake_hands()
        return self._outgoing.read()

    def send(self, plain: bytes) -> bytes:
        """Encrypt `plain`; call only if `ready`."""
        self._tls.write(plain)
        return self._outgoing.read()

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Decrypt `data`. Return the plain text, and bytes that must be sent in reply."""
        self._incoming.write(data)
        if not self.ready:
            self._shake_hands()
        plain = bytearray()
        while self.ready:
            try:
                plain += self._tls.read(_READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):  # the latter precedes the socket's end
                break
        return bytes(plain), self._outgoing.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True


class Connection:
    """Connection that opens when constructed. Raises OSError if that fails at once.

    `suffix` adds the address to failures if the destination has several. `expires_at_s` belongs to the owner;
    `due_s` and `left_s` belong to the handler of the request under way.
    """

    def __init__(self, *, destination: Destination, address: str, owner: ConnectionOwner, loop: Any) -> None:
        self.address = address
        self.expires_at_s = self.due_s = self.left_s = 0.0
        self.suffix = f" at {address}" if len(destination.addresses) > 1 else ""
        self._owner = owner
        self._handler: ResponseHandler | None = None
        self._reader = ResponseReader()
        self._tls = Tls(destination.tls, server=destination.host) if destination.tls else None
        self._request = b""  # sent as soon as the connection is open
        self._unsent = b""  # not yet taken by the socket
        self._open = self._closed = False
        self._socket = _socket(_AF_INET6 if ":" in address else _AF_INET, _STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(_TCP, _NODELAY, 1)
            error = self._socket.connect_ex((address, destination.port))
            if error not in (0, EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except OSError:
            self._socket.close()
            raise
        self._readable = loop.io(self._socket.fileno(), _READ)
        self._writable = loop.io(self._socket.fileno(), _WRITE)
        self._writable.start(self._on_connected)

    def send(self, request: bytes, handler: ResponseHandler) -> None:
        """Send a request as soon as the connection is open. Only one may be under way."""
        self._handler = handler
        if not self._open:
            self._request = request
            return
        try:
            self._write(self._tls.send(request) if self._tls else request)
        except ssl.SSLError as error:
            self._lose(failure_reason(error))

    def close(self) -> None:
        """Close without a callback. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._reader.close()
        for watcher in (self._readable, self._writable):
            watcher.stop()
            watcher.close()
        self._socket.close()

    def _on_connected(self) -> None:
        self._writable.stop()
        if error := self._socket.getsockopt(_SOCKET, _ERROR):
            self._lose(os.strerror(error).lower() + self.suffix)
            return
        self._readable.start(self._on_readable)
        if self._tls is None:
            self._on_open()
        else:
            self._write(self._tls.begin())

    def _on_open(self) -> None:
        self._open = True
        if self._handler is None:
            self._owner.on_open(self)
        else:
            self.send(self._request, self._handler)

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(failure_reason(error))
            return
        if not data:
            self._on_end()
            return
        try:
            plain = data if self._tls is None else self._decrypt(self._tls, data)
            responses = [] if self._closed else self._reader.feed(plain)
        except ssl.SSLError as error:
            self._lose(failure_reason(error))
        except httptools.HttpParserError:
            self._lose(NOT_HTTP)
        else:
            for response in responses:
                self._hand_over(response)

    def _on_end(self) -> None:
        response = self._reader.end()
        if response is None:
            self._lose(PARTIAL_RESPONSE if self._reader.begun else NO_RESPONSE)
        else:
            self._hand_over(response)

    def _on_writable(self) -> None:
        self._writable.stop()
        unsent, self._unsent = self._unsent, b""
        self._write(unsent)

    def _decrypt(self, tls: Tls, data: bytes) -> bytes:
        plain, reply = tls.receive(data)
        self._write(reply)
        if tls.ready and not self._open:
            self._on_open()
        return plain

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(failure_reason(error))
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._writable.start(self._on_writable)

    def _hand_over(self, response: Response) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.on_response(self, response)
        else:
            self._lose("")

    def _lose(self, reason: str) -> None:
        if self._closed:
            return
        self.close()
        if self._handler is not None:
            self._handler.on_failure(self, reason)
        else:
            self._owner.on_lost(self)


def failure_reason(error: OSError) -> str:
    """Describe a network error in a few words, always the same for the same cause."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
        case _:
            return os.strerror(error.errno).lower() if error.errno else str(error).lower() or type(error).__name__
