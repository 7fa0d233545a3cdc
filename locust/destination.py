"""Destination of a plan: the addresses that the load may reach, and the request. The load connects to no others.

The worker resolves the name once and writes the addresses into the plan (workers/platforms/destination.py).
Names that only this network knows, such as a Service's, are resolved here under the same rules.
"""

import ipaddress
import socket
import ssl
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class DestinationRefused(Exception):
    """The destination may not be loaded; the message is a whole sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Address and content of every request. `request` is its bytes; `tls` None means plain HTTP."""

    host: str
    port: int
    addresses: tuple[str, ...]
    tls: ssl.SSLContext | None
    method: str
    path: str
    request: bytes


def read_destination(fields: dict[str, Any], *, body: bytes) -> Destination:
    """Read a plan's destination. Raise DestinationRefused if it may not be loaded or its name is unknown."""
    parts = urlsplit(fields["url"])
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = fields.get("addresses") or _resolve(host, port)
    _check(addresses, private=fields["private"], refused=fields["refused"])
    method = "POST" if body else "GET"
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "User-Agent: Seatrial",
        "Accept: */*",
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return Destination(
        host=host,
        port=port,
        addresses=tuple(addresses),
        tls=ssl.create_default_context() if secure else None,
        method=method,
        path=path,
        request="\r\n".join([*lines, "", ""]).encode() + body,
    )


def restrict_connections(destination: Destination) -> None:
    """Restrict all outgoing connections of this process, also those of other code, to the destination's addresses.

    An audit hook cannot be removed. https://docs.python.org/3/library/audit_events.html
    """
    allowed = frozenset(destination.addresses)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in allowed:
            raise PermissionError(f"{arguments[1][0]} is not the load test's target")

    sys.addaudithook(check)


def _resolve(host: str, port: int) -> list[str]:
    """Return all addresses of the family that the resolver prefers."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DestinationRefused(f"The name {host} cannot be resolved: {error.strerror or error}.") from error
    return [str(address[0]) for family, *_, address in found if family == found[0][0]]


def _check(addresses: Iterable[str], *, private: bool, refused: Iterable[str]) -> None:
    never = {ipaddress.ip_address(address) for address in refused}
    for address in addresses:
        ip = ipaddress.ip_address(address)
        if ip in never or not (private or ip.is_global):
            raise DestinationRefused(f"The address {address} may not be loaded.")
