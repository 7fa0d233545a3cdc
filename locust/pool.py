"""Pool of idle connections to a destination: opened ahead of demand, used in turn, replaced when they expire."""

import random
from collections import deque
from itertools import cycle
from time import monotonic
from typing import Any

from connection import Connection
from destination import Destination

MAX_AGE_S = (3.0, 5.0)
"""Range from which a connection's age limit is drawn. A Service balances connections, so only new connections reach
new replicas. Servers often close idle connections after 5 s."""
RETRY_S = 0.5  # delay before more connections are opened ahead, after one could not be opened


class Pool:
    """First-in, first-out pool that keeps `ready` connections open ahead of demand.

    If a connection to an address cannot be opened ahead, the next request goes to that address. Otherwise the open
    connections would hide that one of the destination's addresses is dead.

    If the destination closes each connection after its response, no connection is opened ahead. Such a server may
    serve one connection at a time, and would wait on an idle one.
    """

    def __init__(self, *, destination: Destination, loop: Any) -> None:
        self.ready = 0
        self._destination = destination
        self._loop = loop
        self._addresses = cycle(destination.addresses)
        self._idle: deque[Connection] = deque()
        self._opening: set[Connection] = set()
        self._failed: deque[str] = deque()  # addresses, one for each connection that could not be opened ahead
        self._open_again_s = 0.0
        self._persistent = True  # the destination keeps connections open after a response

    def take(self) -> Connection:
        """Return an idle connection, or one that begins to open. Raise OSError if that fails at once."""
        if self._failed:
            return self._new(self._failed.popleft())
        return self._idle.popleft() if self._idle else self._new(next(self._addresses))

    def give_back(self, connection: Connection, *, reusable: bool) -> None:
        self._persistent = reusable
        if reusable and not _is_expired(connection):
            self._idle.append(connection)
        else:
            connection.close()
            self.refresh()

    def refresh(self) -> None:
        for connection in [each for each in self._idle if _is_expired(each)]:
            self._idle.remove(connection)
            connection.close()
        for connection in [each for each in self._opening if _is_expired(each)]:
            connection.close()
            self.on_lost(connection)
        while self._is_short and monotonic() > self._open_again_s:
            address = next(self._addresses)
            try:
                self._opening.add(self._new(address))
            except OSError:
                self._back_off(address)

    def close(self) -> None:
        """Close all connections except those in use."""
        self.ready = 0
        for connection in (*self._idle, *self._opening):
            connection.close()
        self._idle.clear()
        self._opening.clear()

    def on_open(self, connection: Connection) -> None:
        self._opening.discard(connection)
        self._idle.append(connection)

    def on_lost(self, connection: Connection) -> None:
        if connection in self._opening:
            self._opening.discard(connection)
            self._back_off(connection.address)
        else:
            self._idle.remove(connection)

    @property
    def _is_short(self) -> bool:
        return self._persistent and not self._failed and len(self._idle) + len(self._opening) < self.ready

    def _back_off(self, address: str) -> None:
        self._open_again_s = monotonic() + RETRY_S
        self._failed.append(address)

    def _new(self, address: str) -> Connection:
        connection = Connection(destination=self._destination, address=address, owner=self, loop=self._loop)
        connection.expires_at_s = monotonic() + random.uniform(*MAX_AGE_S)
        return connection


def _is_expired(connection: Connection) -> bool:
    return monotonic() > connection.expires_at_s
