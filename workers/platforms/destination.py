"""Where a plan may go: its target's addresses, resolved once, held against what may never be loaded, and tried.

The result is part of the plan (workers/platforms/traffic_plan.py), and every load process keeps to it
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
from workers.platforms.protocols.load import TrafficPlan

_METADATA_IPV4 = (
    "169.254.169.254",  # Google Cloud, AWS, Azure and most others
    "169.254.169.252",  # GKE's metadata server on a node
    "169.254.170.2",  # AWS ECS: a task's credentials
    "169.254.170.23",  # AWS EKS Pod Identity
    "168.63.129.16",  # Azure's platform
    "100.100.100.200",  # Alibaba Cloud
)
NEVER = (
    *_METADATA_IPV4,
    *(f"::ffff:{address}" for address in _METADATA_IPV4),  # the same, IPv4-mapped
    *(f"64:ff9b::{address}" for address in _METADATA_IPV4),  # and through NAT64 (RFC 6052)
    "fd00:ec2::254",  # AWS over IPv6
    "fd00:ec2::23",  # AWS EKS Pod Identity over IPv6
    "fd20:ce::254",  # Google Cloud over IPv6
)
"""Addresses at which clouds hand out credentials: never a target, whatever the settings say."""
METADATA_NAMES = ("metadata", "metadata.google.internal", "metadata.goog")
"""The same by name: https://cloud.google.com/compute/docs/metadata/querying-metadata"""
_SAFE = "/?%:@!$&'()*+,;=~[]"
"""What a URL may have as it is: its delimiters, and what is quoted already (RFC 3986)."""

_REDIRECT = ", which is not followed"


def find_destination(plan: TrafficPlan, *, timeout_s: float) -> tuple[tuple[str, ...], bytes]:
    """The addresses to load, and the target's answer to one request.

    All of one family: that of the first that takes a connection. Raises PermanentError where the target may not be
    loaded, TargetDown where it does not answer, or not with what the plan asks for.
    """
    parts = urlsplit(plan.url)
    addresses = resolve(plan)
    connection, found = _connected(plan, parts, addresses, timeout_s=timeout_s)
    with closing(connection):
        try:
            method = "POST" if plan.body else "GET"
            headers = {"Content-Type": "application/json"} if plan.body else {}
            connection.request(method, request_path(plan.url), body=plan.body or None, headers=headers)
            response = connection.getresponse()  # a redirect is an answer: none is followed
            status, body = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise down(plan, f"does not answer: {_words(error)}") from error
    judge_answer(plan, status=status, body=body)
    family = ipaddress.ip_address(found).version
    return tuple(each for each in addresses if ipaddress.ip_address(each).version == family), body


def check_name(plan: TrafficPlan) -> None:
    """Raise PermanentError where the target's name alone says that it may not be loaded."""
    host = (urlsplit(plan.url).hostname or "").rstrip(".")
    if host in METADATA_NAMES:
        raise _never(plan, host)


def resolve(plan: TrafficPlan) -> tuple[str, ...]:
    """The addresses behind the target's name. Raises PermanentError where one of them may not be loaded."""
    check_name(plan)
    parts = urlsplit(plan.url)
    try:
        found = socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    except OSError as error:
        raise down(plan, f"is not known: {_words(error)}") from error
    addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    never = {ipaddress.ip_address(address) for address in NEVER}
    for address in addresses:
        ip = ipaddress.ip_address(address)
        if ip in never:
            raise _never(plan, address)
        if not (plan.private or ip.is_global):
            raise PermanentError(
                f"The target {plan.url} is at {address}, which may not be loaded.",
                advice="Name a target with a public address, or say in the settings that it may be a private one.",
            )
    return addresses


def judge_answer(plan: TrafficPlan, *, status: int, body: bytes) -> None:
    """Raise TargetDown where the target's answer to the plan's request is not what it asks for."""
    if not 200 <= status < 300:
        said = body[:200].decode(errors="replace").strip()
        raise down(plan, f"answers HTTP {status}" + _REDIRECT * (300 <= status < 400) + (f" ({said})" if said else ""))
    if not plan.predicts:
        return
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise down(plan, "does not answer with JSON") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("predictions"), list):
        raise down(plan, "does not answer with predictions")


def down(plan: TrafficPlan, what: str) -> TargetDown:
    """The error for a target that "does not answer", or however `what` puts it."""
    return TargetDown(
        f"The target {plan.url} {what}; no load was sent.",
        advice="A load test needs a target that answers one request: look at the endpoint first.",
    )


def origin(url: str) -> str:
    """Scheme, host and port of `url`, which Locust takes as its host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def request_path(url: str) -> str:
    """Path and query of `url` as a request line has them."""
    parts = urlsplit(url)
    return quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)


def _connected(
    plan: TrafficPlan, parts: SplitResult, addresses: Sequence[str], *, timeout_s: float
) -> tuple[HTTPConnection, str]:
    """A connection to the first address that takes one: no proxy from the environment, as the load goes."""
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
    raise down(plan, f"does not answer: {_words(failure)}") from failure


def _never(plan: TrafficPlan, where: str) -> PermanentError:
    return PermanentError(
        f"The target {plan.url} is at {where}, which may not be loaded.",
        advice="There clouds hand out credentials; no setting allows it.",
    )


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _words(error: Exception | None) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
