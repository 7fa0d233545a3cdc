"""Requests to Services through the API server's proxy, and their answers.

https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/
"""

import socket
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse

from tests.cloud.kubernetes_store import StatusError


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceRequest:
    """A request to a Service through the API server's proxy."""

    service: str
    port: int
    method: str
    path: str
    body: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamedAnswer:
    """An answer without a known length, and the connection that delivers it."""

    connection: HTTPConnection
    answer: HTTPResponse

    def parts(self, *, client: socket.socket) -> Generator[bytes, None, None]:
        """Yield the parts as they arrive. The Service's connection closes as soon as the `client` disconnects."""
        threading.Thread(target=_end_with, args=(client, self.connection.sock), daemon=True).start()
        with closing(self.connection), suppress(OSError, HTTPException):
            while data := self.answer.read1():
                yield data


def _end_with(client: socket.socket, service: socket.socket) -> None:
    with suppress(OSError):
        client.recv(1, socket.MSG_PEEK)  # the client sends no more data: this returns when it disconnects
    with suppress(OSError):
        service.shutdown(socket.SHUT_RDWR)


ServiceAnswer = tuple[int, bytes | StreamedAnswer]
"""Status and body of a Service's answer."""


def no_endpoints(request: ServiceRequest) -> ServiceAnswer:
    """Raise the proxy's own error for a Service without a ready pod."""
    raise StatusError(503, "ServiceUnavailable", f'no endpoints available for service "{request.service}"')
