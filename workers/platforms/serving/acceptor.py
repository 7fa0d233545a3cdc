"""Accepting from a listening socket that several replicas share, each in its turn."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from threading import Thread

LOOK_UP_S = 0.5
"""How often an acceptor looks whether it is to stop. It loses its turn by it, so that it should not be often."""

AGAIN_S = 0.05
"""After how long one tries again that cannot accept: the process or the system may have no descriptors left."""


class Acceptor:
    """A thread that waits in accept(2) and hands what it gets to the event loop in which it was made.

    Of those who wait in accept(2) Linux wakes one, the one that has waited longest. Event loops wait in epoll: there it
    wakes all, always in the same order, and of four idle replicas two got nine tenths of the connections. Only for
    Linux: elsewhere accept(2) need not heed SO_RCVTIMEO (https://man7.org/linux/man-pages/man7/socket.7.html).
    """

    def __init__(self, listener: socket.socket, *, take: Callable[[socket.socket], None]) -> None:
        """Begin. `take` is called in the event loop, with connections that do not block."""
        listener.setblocking(True)
        # A timeout of Python's own would make it wait in poll(2), where all are woken.
        timeval = struct.pack("@ll", 0, int(LOOK_UP_S * 1e6))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._listener = listener
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._stopped = asyncio.Event()
        Thread(target=self._accept, daemon=True).start()

    async def stop(self) -> None:
        """Return once it accepts no more, and `take` has been called with all that it accepted."""
        self._stopping = True
        await self._stopped.wait()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                continue  # nothing came within LOOK_UP_S
            except OSError:
                time.sleep(AGAIN_S)
                continue
            connection.setblocking(False)
            self._loop.call_soon_threadsafe(self._take, connection)
        self._loop.call_soon_threadsafe(self._stopped.set)
