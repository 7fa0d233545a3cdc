"""A lean client: slash commands as Slack signs them, over kept connections, as fast as told or at a given rate.

It costs 0.2 ms of CPU a command, a third of what the cheapest handler costs, so that it is not what is measured.
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
"""Connections at once: as many as the bot's HTTP server has threads."""
_TIMEOUT_S = 30.0
_TRIGGERS = itertools.count()


@dataclass(frozen=True, kw_only=True, slots=True)
class Slash:
    """Who types where, and how to reach and convince the app that hears it."""

    port: int
    signing_secret: str
    user: str
    channel: str

    def at(self, port: int) -> "Slash":
        """The same to another app."""
        return replace(self, port=port)

    def request(self, command: str) -> bytes:
        """A whole HTTP request, signed now, with a trigger of its own."""
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
            "response_url": "http://127.0.0.1:9/nobody-listens-here",
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


class Connection:
    """One kept connection. Raises OSError where the other end is gone or silent."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def exchange(self, request: bytes) -> int:
        """Send, wait for the whole answer; its status."""
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        missing = _content_length(head) - len(body)
        while missing > 0:
            missing -= len(self._more())
        return int(head.split(b" ", 2)[1])

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("The app closed the connection.")
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class Acks:
    """What came of a series of commands: when the first was sent (Unix seconds), until the last answer, and each ack's
    latency in milliseconds; `refused` answers were not 200."""

    began_at_s: float
    seconds: float
    latencies_ms: tuple[float, ...]
    refused: int

    @property
    def per_second(self) -> float:
        """Acks a second."""
        return len(self.latencies_ms) / self.seconds


def at_once(slash: Slash, commands: list[str]) -> Acks:
    """Send `commands` from CLIENTS connections, each the next one as soon as it has the answer to its last."""
    return _send(slash, commands, every_s=None)


def at_rate(slash: Slash, commands: list[str], *, per_s: float) -> Acks:
    """Send `commands` at their instants, whatever the answers do; latency counts from the instant."""
    return _send(slash, commands, every_s=1 / per_s)


def _send(slash: Slash, commands: list[str], *, every_s: float | None) -> Acks:
    latencies_ms: list[float] = []
    refused: list[int] = []
    places = iter(range(len(commands)))
    connections = [Connection(slash.port) for _ in range(CLIENTS)]
    began_s = time.perf_counter()

    def client(connection: Connection) -> None:
        for place in places:  # `range`'s iterator hands out each place once, to whichever thread asks
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
