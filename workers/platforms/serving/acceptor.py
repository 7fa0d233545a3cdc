"""Listening sockets, and fair acceptance from one that several replicas share."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from threading import Thread

BACKLOG = 2048
"""Connections that may wait to be accepted; the system may cap it (net.core.somaxconn)."""
STOP_CHECK_S = 0.5
"""Interval between an acceptor's checks for its stop. Each check costs it its place in the queue of acceptors."""
RETRY_S = 0.05
"""Pause after a failed accept: the process or the system may have run out of descriptors."""


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a listening socket. Port 0 lets the system choose. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the base URL at which this machine reaches a listening socket."""
    port: int = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


class Acceptor:
    """A thread that waits in accept(2) and passes connections to the event loop in which it was made.

    Linux wakes the thread that has waited longest in accept(2). Event loops wait in epoll instead. There, Linux wakes
    all of them, always in the same order: of four idle replicas, two got nine tenths of the connections. For Linux
    only: elsewhere accept(2) may ignore SO_RCVTIMEO (https://man7.org/linux/man-pages/man7/socket.7.html).
    """

    def __init__(self, listener: socket.socket, *, on_accept: Callable[[socket.socket], None]) -> None:
        """Start accepting. `on_accept` is called in the event loop, with non-blocking connections."""
        listener.setblocking(True)
        # Python's own socket timeout would wait in poll(2), which wakes every waiting thread.
        timeval = struct.pack("@ll", 0, int(STOP_CHECK_S * 1e6))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._listener = listener
        self._on_accept = on_accept
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._stopped = asyncio.Event()
        Thread(target=self._accept, daemon=True).start()

    async def stop(self) -> None:
        """Stop accepting. Returns after `on_accept` was called for every accepted connection."""
        self._stopping = True
        await self._stopped.wait()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                continue  # no connection within STOP_CHECK_S
            except OSError:
                time.sleep(RETRY_S)
                continue
            connection.setblocking(False)
            self._loop.call_soon_threadsafe(self._on_accept, connection)
        self._loop.call_soon_threadsafe(self._stopped.set)
