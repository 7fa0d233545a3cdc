"""The target of an attack: which addresses may be asked, and how. Nothing of the load connects to any other.

The list is made where the attack is ordered, which resolves the name once (workers/platforms/destination.py).
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


class Refused(Exception):
    """The target may not be loaded; says why, as a whole sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where every request goes. `request` is the request itself, byte for byte; `tls` None: plain HTTP."""

    host: str
    port: int
    addresses: tuple[str, ...]
    tls: ssl.SSLContext | None
    method: str
    path: str
    request: bytes


def read_target(attack: dict[str, Any], *, body: bytes) -> Target:
    """The attack's target. Raises Refused where it may not be loaded or its name is not known."""
    parts = urlsplit(attack["url"])
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    addresses = attack.get("addresses") or _resolved(host, port)
    _check(addresses, private=attack["private"], refused=attack["refused"])
    method = "POST" if body else "GET"
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "User-Agent: Seatrial",
        "Accept: */*",
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return Target(
        host=host,
        port=port,
        addresses=tuple(addresses),
        tls=ssl.create_default_context() if secure else None,
        method=method,
        path=path,
        request="\r\n".join([*lines, "", ""]).encode() + body,
    )


def keep_to(target: Target) -> None:
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
        raise Refused(f"{host} is not known here: {error.strerror or error}.") from error
    return [str(address[0]) for family, *_, address in found if family == found[0][0]]


def _check(addresses: Iterable[str], *, private: bool, refused: Iterable[str]) -> None:
    never = {ipaddress.ip_address(address) for address in refused}
    for address in addresses:
        ip = ipaddress.ip_address(address)
        if ip in never or not (private or ip.is_global):
            raise Refused(f"{address} is an address that may not be loaded.")
