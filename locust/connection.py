"""One HTTP/1.1 connection, driven by gevent's event loop: no greenlet waits for it, and nothing in it blocks."""

import os
import ssl
from errno import EINPROGRESS
from typing import Any, Protocol

import httptools
from destination import Destination
from gevent.monkey import get_original
from http_answers import Answer, AnswerReader
from tls import Tls

_READ, _WRITE = 1, 2  # libev's EV_READ and EV_WRITE
_socket: Any = get_original("socket", "socket")  # gevent's own makes greenlets wait
_AF_INET, _AF_INET6, _STREAM, _TCP, _NODELAY, _SOCKET, _ERROR = get_original(
    "socket", ["AF_INET", "AF_INET6", "SOCK_STREAM", "IPPROTO_TCP", "TCP_NODELAY", "SOL_SOCKET", "SO_ERROR"]
)
_PIECE_BYTES = 65536

NO_ANSWER = "connection closed without an answer"
HALF_AN_ANSWER = "connection closed in mid-answer"
NO_HTTP = "an answer that is not HTTP"


class ConnectionOwner(Protocol):
    """Who has a connection while nothing is asked of it. Called by the event loop: nothing of this may wait."""

    def opened(self, connection: "Connection") -> None:
        """It is open."""

    def lost(self, connection: "Connection") -> None:
        """It has failed, or said something unasked; it is closed."""


class ResponseHandler(Protocol):
    """Whose request is under way. Called by the event loop: nothing of this may wait."""

    def answered(self, connection: "Connection", answer: Answer) -> None:
        """The answer has come."""

    def failed(self, connection: "Connection", words: str) -> None:
        """None will: the connection is closed. `words` are the same few for the same cause."""


class Connection:
    """Opens as soon as it is made; raises OSError where not even that is possible.

    `at` names its address in the words of a failure, where the target has several. `old_at_s` is its keeper's note,
    `due_s` and `left_s` are its asker's on the request under way.
    """

    def __init__(self, *, target: Destination, address: str, keeper: ConnectionOwner, loop: Any) -> None:
        self.address = address
        self.old_at_s = self.due_s = self.left_s = 0.0
        self.at = f" at {address}" if len(target.addresses) > 1 else ""
        self._keeper = keeper
        self._asker: ResponseHandler | None = None
        self._reader = AnswerReader()
        self._tls = Tls(target.tls, server=target.host) if target.tls else None
        self._request = b""  # what is to be sent as soon as it is open
        self._unsent = b""  # what the socket has not taken yet
        self._open = self._closed = False
        self._socket = _socket(_AF_INET6 if ":" in address else _AF_INET, _STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(_TCP, _NODELAY, 1)
            error = self._socket.connect_ex((address, target.port))
            if error not in (0, EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except OSError:
            self._socket.close()
            raise
        self._readable = loop.io(self._socket.fileno(), _READ)
        self._writable = loop.io(self._socket.fileno(), _WRITE)
        self._writable.start(self._on_connected)

    def ask(self, request: bytes, asker: ResponseHandler) -> None:
        """Send a request, as soon as it is open; one at a time."""
        self._asker = asker
        if not self._open:
            self._request = request
            return
        try:
            self._send(self._tls.send(request) if self._tls else request)
        except ssl.SSLError as error:
            self._lose(failure_words(error))

    def close(self) -> None:
        """Close; nobody is told. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._reader.close()
        for watcher in (self._readable, self._writable):
            watcher.stop()
            watcher.close()
        self._socket.close()

    # ------------------------------------------------------------------------------------------ the event loop's calls

    def _on_connected(self) -> None:
        self._writable.stop()
        if error := self._socket.getsockopt(_SOCKET, _ERROR):
            self._lose(os.strerror(error).lower() + self.at)
            return
        self._readable.start(self._on_readable)
        if self._tls is None:
            self._on_open()
        else:
            self._send(self._tls.begin())

    def _on_open(self) -> None:
        self._open = True
        if self._asker is None:
            self._keeper.opened(self)
        else:
            self.ask(self._request, self._asker)

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(failure_words(error))
            return
        if not data:
            self._on_end()
            return
        try:
            plain = data if self._tls is None else self._decrypted(self._tls, data)
            answers = [] if self._closed else self._reader.feed(plain)
        except ssl.SSLError as error:
            self._lose(failure_words(error))
        except httptools.HttpParserError:
            self._lose(NO_HTTP)
        else:
            for answer in answers:
                self._hand_over(answer)

    def _on_end(self) -> None:
        answer = self._reader.end()
        if answer is None:
            self._lose(HALF_AN_ANSWER if self._reader.begun else NO_ANSWER)
        else:
            self._hand_over(answer)

    def _on_writable(self) -> None:
        self._writable.stop()
        unsent, self._unsent = self._unsent, b""
        self._send(unsent)

    # ------------------------------------------------------------------------------------------ bytes

    def _decrypted(self, tls: Tls, data: bytes) -> bytes:
        plain, reply = tls.receive(data)
        self._send(reply)
        if tls.ready and not self._open:
            self._on_open()
        return plain

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(failure_words(error))
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._writable.start(self._on_writable)

    def _hand_over(self, answer: Answer) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.answered(self, answer)
        else:
            self._lose("")

    def _lose(self, words: str) -> None:
        if self._closed:
            return
        self.close()
        if self._asker is not None:
            self._asker.failed(self, words)
        else:
            self._keeper.lost(self)


def failure_words(error: OSError) -> str:
    """An error of the network in a few words, the same for the same cause."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
        case _:
            return os.strerror(error.errno).lower() if error.errno else str(error).lower() or type(error).__name__
