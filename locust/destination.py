"""The target of a plan: which addresses may be asked, and how. Nothing of the load connects to any other.

The list is made where the plan is ordered, which resolves the name once (workers/platforms/destination.py).
A name that only this network knows, such as a Service's, is resolved here, and held against the same rules.
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
    """The target may not be loaded; says why, as a whole sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where every request goes. `request` is the request itself, byte for byte; `tls` None: plain HTTP."""

    host: str
    port: int
    addresses: tuple[str, ...]
    tls: ssl.SSLContext | None
    method: str
    path: str
    request: bytes


def read_destination(plan: dict[str, Any], *, body: bytes) -> Destination:
    """The plan's target. Raises DestinationRefused where it may not be loaded or its name is not known."""
    parts = urlsplit(plan["url"])
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = plan.get("addresses") or _resolved(host, port)
    _check(addresses, private=plan["private"], refused=plan["refused"])
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


def keep_to(target: Destination) -> None:
    """From now on this process connects to the target's addresses alone, whoever's code it is that tries.

    Nobody can take an audit hook off again. https://docs.python.org/3/library/audit_events.html
    """
    allowed = frozenset(target.addresses)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in allowed:
            raise PermissionError(f"{arguments[1][0]} is not the load test's target")

    sys.addaudithook(watch)


def _resolved(host: str, port: int) -> list[str]:
    """All addresses of one family: of that which the resolver prefers."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DestinationRefused(f"{host} is not known here: {error.strerror or error}.") from error
    return [str(address[0]) for family, *_, address in found if family == found[0][0]]


def _check(addresses: Iterable[str], *, private: bool, refused: Iterable[str]) -> None:
    never = {ipaddress.ip_address(address) for address in refused}
    for address in addresses:
        ip = ipaddress.ip_address(address)
        if ip in never or not (private or ip.is_global):
            raise DestinationRefused(f"{address} is an address that may not be loaded.")
