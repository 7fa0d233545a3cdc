"""Lean client for signed slash commands over persistent connections, at full speed or at a given rate.

It needs 0.2 ms of CPU per command, a third of the cheapest handler's cost, so it does not distort the result.
"""

import hashlib
import hmac
import itertools
import socket
import threading
import time
from dataclasses import dataclass, replace
from urllib.parse import urlencode

CLIENTS = 16
"""Number of connections: as many as the bot's HTTP server has threads."""
_TIMEOUT_S = 30.0
_TRIGGERS = itertools.count()


@dataclass(frozen=True, kw_only=True, slots=True)
class SlashClient:
    """User and channel of the commands, with port and signing secret of the app."""

    port: int
    signing_secret: str
    user: str
    channel: str

    def at(self, port: int) -> "SlashClient":
        """Return the same client for another app."""
        return replace(self, port=port)

    def request(self, command: str) -> bytes:
        """Return an HTTP request, signed now, with a new trigger id."""
        verb, _, text = command.partition(" ")
        fields = {
            "token": "unused",
            "team_id": "T0MLTEAM001",
            "team_domain": "ml-team",
            "channel_id": self.channel,
            "channel_name": "ml-ops",
            "user_id": self.user,
            "user_name": "ada",
            "command": verb,
            "text": text,
            "api_app_id": "A07SEATR1AL",
            "is_enterprise_install": "false",
            "response_url": "http://127.0.0.1:9/unused",
            "trigger_id": f"{next(_TRIGGERS)}.{time.time_ns()}",
        }
        body = urlencode(fields).encode()
        stamp = str(int(time.time()))
        digest = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        head = (
            "POST /slack/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"X-Slack-Request-Timestamp: {stamp}\r\nX-Slack-Signature: v0={digest}\r\n\r\n"
        )
        return head.encode() + body


class SlashConnection:
    """One persistent connection. Raises OSError if the app is gone or does not respond."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def exchange(self, request: bytes) -> int:
        """Send a request, read the whole response, and return its status."""
        self._socket.sendall(request)
        response = b""
        while b"\r\n\r\n" not in response:
            response += self._receive()
        head, _, body = response.partition(b"\r\n\r\n")
        missing = _content_length(head) - len(body)
        while missing > 0:
            missing -= len(self._receive())
        return int(head.split(b" ", 2)[1])

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("The app closed the connection.")
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class Acks:
    """Acks of a series of commands.

    The first command was sent at `began_at_s`, in Unix seconds; `seconds` is the time until the last response.
    `refused` counts responses other than 200.
    """

    began_at_s: float
    seconds: float
    latencies_ms: tuple[float, ...]
    refused: int

    @property
    def per_second(self) -> float:
        """Return the acks per second."""
        return len(self.latencies_ms) / self.seconds


def at_once(slash: SlashClient, commands: list[str]) -> Acks:
    """Send `commands` over CLIENTS connections, each the next one as soon as it has a response."""
    return _send(slash, commands, every_s=None)


def at_rate(slash: SlashClient, commands: list[str], *, per_s: float) -> Acks:
    """Send `commands` at their due times, regardless of responses. Latency counts from the due time."""
    return _send(slash, commands, every_s=1 / per_s)


def _send(slash: SlashClient, commands: list[str], *, every_s: float | None) -> Acks:
    latencies_ms: list[float] = []
    refused: list[int] = []
    places = iter(range(len(commands)))
    connections = [SlashConnection(slash.port) for _ in range(CLIENTS)]
    began_s = time.perf_counter()

    def client(connection: SlashConnection) -> None:
        for place in places:  # `range`'s iterator gives each place to one thread only
            due_s = time.perf_counter() if every_s is None else began_s + place * every_s
            time.sleep(max(due_s - time.perf_counter(), 0.0))
            status = connection.exchange(slash.request(commands[place]))
            latencies_ms.append((time.perf_counter() - due_s) * 1000)
            if status != 200:
                refused.append(status)

    began_at_s = time.time()
    threads = [threading.Thread(target=client, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began_s
    for connection in connections:
        connection.close()
    return Acks(began_at_s=began_at_s, seconds=seconds, latencies_ms=tuple(latencies_ms), refused=len(refused))


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
