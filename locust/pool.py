"""The free connections to a target: opened ahead of need, used in turn, replaced before they are old."""

import random
from collections import deque
from itertools import cycle
from time import monotonic
from typing import Any

from connection import Connection
from destination import Destination

OLD_S = (3.0, 5.0)
"""How old a connection gets, at random within this. A Service balances connections, so only new ones reach new
replicas; and servers drop what is idle for 5 s."""
AFTER_FAILURE_S = 0.5
"""How long nothing is opened ahead after that has failed."""


class Pool:
    """Hands out connections, first in, first out. `ready` are kept open ahead of need.

    Where one cannot be opened ahead, a request is sent there: otherwise those that are open would hide that one of the
    target's addresses is dead.

    None are ahead of a target that closes each after its answer: it may well serve one connection at a time, and wait
    on an idle one while another has its request.
    """

    def __init__(self, *, target: Destination, loop: Any) -> None:
        self.ready = 0
        self._target = target
        self._loop = loop
        self._addresses = cycle(target.addresses)
        self._free: deque[Connection] = deque()
        self._opening: set[Connection] = set()
        self._refusing: deque[str] = deque()  # addresses, one for each connection that could not be opened ahead
        self._open_again_s = 0.0
        self._kept = True  # the last connection, by the target

    def take(self) -> Connection:
        """A free connection, or one that has just begun to open. Raises OSError where not even that is possible."""
        if self._refusing:
            return self._new(self._refusing.popleft())
        return self._free.popleft() if self._free else self._new(next(self._addresses))

    def give_back(self, connection: Connection, *, reusable: bool) -> None:
        """Take back a connection whose answer has come."""
        self._kept = reusable
        if reusable and not _is_old(connection):
            self._free.append(connection)
        else:
            connection.close()
            self.refresh()

    def refresh(self) -> None:
        """Close what has become old, and open what is missing; never more at a time than are wanted."""
        for connection in [each for each in self._free if _is_old(each)]:
            self._free.remove(connection)
            connection.close()
        for connection in [each for each in self._opening if _is_old(each)]:
            connection.close()
            self.lost(connection)
        while self._is_short and monotonic() > self._open_again_s:
            address = next(self._addresses)
            try:
                self._opening.add(self._new(address))
            except OSError:
                self._put_off(address)

    def close(self) -> None:
        """Close all that are not out."""
        self.ready = 0
        for connection in (*self._free, *self._opening):
            connection.close()
        self._free.clear()
        self._opening.clear()

    def opened(self, connection: Connection) -> None:
        """See ConnectionOwner."""
        self._opening.discard(connection)
        self._free.append(connection)

    def lost(self, connection: Connection) -> None:
        """See ConnectionOwner."""
        if connection in self._opening:
            self._opening.discard(connection)
            self._put_off(connection.address)
        else:
            self._free.remove(connection)

    @property
    def _is_short(self) -> bool:
        return self._kept and not self._refusing and len(self._free) + len(self._opening) < self.ready

    def _put_off(self, address: str) -> None:
        self._open_again_s = monotonic() + AFTER_FAILURE_S
        self._refusing.append(address)

    def _new(self, address: str) -> Connection:
        connection = Connection(target=self._target, address=address, keeper=self, loop=self._loop)
        connection.old_at_s = monotonic() + random.uniform(*OLD_S)
        return connection


def _is_old(connection: Connection) -> bool:
    return monotonic() > connection.old_at_s
