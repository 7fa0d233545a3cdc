"""What the API server's proxy carries to Services and back.

https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/
"""

import socket
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse

from tests.cloud.kubernetes_store import Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class ToService:
    """A request to a Service, by the API server's proxy."""

    service: str
    port: int
    method: str
    path: str
    body: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Streamed:
    """An answer that has no length, and the connection over which it comes."""

    connection: HTTPConnection
    answer: HTTPResponse

    def parts(self, *, client: socket.socket) -> Generator[bytes, None, None]:
        """What comes, as it comes. When the `client` leaves, the Service's connection is closed at once."""
        threading.Thread(target=_end_with, args=(client, self.connection.sock), daemon=True).start()
        with closing(self.connection), suppress(OSError, HTTPException):
            while data := self.answer.read1():
                yield data


def _end_with(client: socket.socket, service: socket.socket) -> None:
    with suppress(OSError):
        client.recv(1, socket.MSG_PEEK)  # nothing more is to come: it returns when the client has left
    with suppress(OSError):
        service.shutdown(socket.SHUT_RDWR)


Answered = tuple[int, bytes | Streamed]
"""What a Service has answered: status and body."""


def nobody(asked: ToService) -> Answered:
    """The proxy's own answer where no pod is ready behind the Service."""
    raise Refusal(503, "ServiceUnavailable", f'no endpoints available for service "{asked.service}"')
