"""Destination of a load test: resolves the target's name once, refuses forbidden addresses, and sends one request.

The addresses become part of the plan (workers/platforms/traffic_plan.py), and load processes connect to no others
(locust/destination.py).
"""

import ipaddress
import json
import socket
import ssl
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, quote, urlsplit

from workers.errors import PermanentError, TargetDown
from workers.platforms.protocols import TrafficPlan

_METADATA_IPV4 = (
    "169.254.169.254",  # Google Cloud, AWS, Azure and most others
    "169.254.169.252",  # GKE's metadata server on a node
    "169.254.170.2",  # AWS ECS: a task's credentials
    "169.254.170.23",  # AWS EKS Pod Identity
    "168.63.129.16",  # Azure's platform
    "100.100.100.200",  # Alibaba Cloud
)
METADATA_ADDRESSES = (
    *_METADATA_IPV4,
    *(f"::ffff:{address}" for address in _METADATA_IPV4),  # the same, IPv4-mapped
    *(f"64:ff9b::{address}" for address in _METADATA_IPV4),  # and through NAT64 (RFC 6052)
    "fd00:ec2::254",  # AWS over IPv6
    "fd00:ec2::23",  # AWS EKS Pod Identity over IPv6
    "fd20:ce::254",  # Google Cloud over IPv6
)
"""Addresses at which clouds hand out credentials. No setting allows them as a target."""
METADATA_NAMES = ("metadata", "metadata.google.internal", "metadata.goog")
"""Names of the same servers: https://cloud.google.com/compute/docs/metadata/querying-metadata"""
_SAFE = "/?%:@!$&'()*+,;=~[]"
"""Characters that stay unquoted in a URL: its delimiters, and % of quoted characters (RFC 3986)."""
_NEVER = "Clouds hand out credentials at this address; no setting allows it."
_REDIRECT = ", which is not followed"


def find_destination(plan: TrafficPlan, *, timeout_s: float) -> tuple[tuple[str, ...], bytes]:
    """Return the addresses to load, and the body of the target's response to one request.

    The addresses are of one family: that of the first address that accepts a connection. Raise PermanentError if the
    target may not be loaded, TargetDown if it does not answer as the plan requires.
    """
    parts = urlsplit(plan.url)
    addresses = resolve(plan)
    connection, found = _connect(plan, parts, addresses, timeout_s=timeout_s)
    with closing(connection):
        try:
            method = "POST" if plan.body else "GET"
            headers = {"Content-Type": "application/json"} if plan.body else {}
            connection.request(method, request_path(plan.url), body=plan.body or None, headers=headers)
            response = connection.getresponse()
            status, body = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise target_down(plan, f"does not answer: {_reason(error)}") from error
    check_response(plan, status=status, body=body)
    family = ipaddress.ip_address(found).version
    return tuple(each for each in addresses if ipaddress.ip_address(each).version == family), body


def check_name(plan: TrafficPlan) -> None:
    """Raise PermanentError if the target's name is a metadata server's."""
    host = (urlsplit(plan.url).hostname or "").rstrip(".")
    if host in METADATA_NAMES:
        raise _forbidden(plan, host)


def resolve(plan: TrafficPlan) -> tuple[str, ...]:
    """Return the addresses of the target's name. Raise PermanentError if one of them may not be loaded."""
    check_name(plan)
    parts = urlsplit(plan.url)
    try:
        found = socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    except OSError as error:
        raise target_down(plan, f"cannot be resolved: {_reason(error)}") from error
    addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    metadata = {ipaddress.ip_address(address) for address in METADATA_ADDRESSES}
    for address in addresses:
        ip = ipaddress.ip_address(address)
        if ip in metadata:
            raise _forbidden(plan, address)
        if not (plan.private or ip.is_global):
            advice = "Use a target with a public address, or allow private addresses for it in the settings."
            raise _forbidden(plan, address, advice=advice)
    return addresses


def check_response(plan: TrafficPlan, *, status: int, body: bytes) -> None:
    """Raise TargetDown if the target's response is not what the plan requires. A redirect is not followed."""
    if not 200 <= status < 300:
        text = body[:200].decode(errors="replace").strip()
        what = f"answers HTTP {status}" + _REDIRECT * (300 <= status < 400) + (f" ({text})" if text else "")
        raise target_down(plan, what)
    if not plan.predicts:
        return
    not_finite: list[str] = []
    try:
        fields = json.loads(body, parse_constant=not_finite.append)
    except ValueError as error:
        raise target_down(plan, "does not answer with JSON") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("predictions"), list):
        raise target_down(plan, "does not answer with predictions")
    if not_finite:
        raise target_down(plan, f"predicts {not_finite[0]}")


def target_down(plan: TrafficPlan, what: str) -> TargetDown:
    """Return the error for a target; `what` is its predicate, such as "does not answer"."""
    return TargetDown(
        f"The target {plan.url} {what}; no load was sent.",
        advice="A load test needs a target that answers one request. Check the endpoint first.",
    )


def origin(url: str) -> str:
    """Return scheme, host and port of `url`, which Locust calls the host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def request_path(url: str) -> str:
    """Return path and query of `url`, quoted for a request line."""
    parts = urlsplit(url)
    return quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)


def _connect(
    plan: TrafficPlan, parts: SplitResult, addresses: Sequence[str], *, timeout_s: float
) -> tuple[HTTPConnection, str]:
    """Connect to the first address that accepts. Like the load, ignore proxies in the environment."""
    failure: OSError | None = None
    for address in addresses:
        try:
            stream = socket.create_connection((address, _port(parts)), timeout=timeout_s)
            if parts.scheme == "https":
                stream = ssl.create_default_context().wrap_socket(stream, server_hostname=parts.hostname)
        except OSError as error:
            failure = failure or error
        else:
            connection = HTTPConnection(parts.netloc.rpartition("@")[2], timeout=timeout_s)
            connection.sock = stream
            return connection, address
    raise target_down(plan, f"does not answer: {_reason(failure)}") from failure


def _forbidden(plan: TrafficPlan, address: str, *, advice: str = _NEVER) -> PermanentError:
    return PermanentError(f"The target {plan.url} is at {address}, which may not be loaded.", advice=advice)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _reason(error: Exception | None) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
