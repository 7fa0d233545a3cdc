"""The listening socket that replicas share, or that one has to itself."""

import socket

BACKLOG = 2048
"""Connections that may wait to be accepted; the system may cap it (net.core.somaxconn)."""


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A listening socket, on loopback unless told otherwise; port 0 leaves the choice to the system. Raises OSError."""
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
    """The base URL at which a listening socket is reached."""
    port: int = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"
