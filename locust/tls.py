"""TLS over bytes: for sockets that an event loop reads and writes."""

import ssl

_PIECE_BYTES = 65536


class Tls:
    """One connection's TLS: what arrives goes in, what is to be sent comes out; it touches no socket.

    `receive`, `send` and `begin` raise ssl.SSLError where the peer cannot be trusted or breaks the protocol.
    """

    def __init__(self, context: ssl.SSLContext, *, server: str) -> None:
        self.ready = False
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=server)

    def begin(self) -> bytes:
        """The first bytes to send."""
        self._shake_hands()
        return self._leaving.read()

    def send(self, plain: bytes) -> bytes:
        """What to send for `plain`; only when `ready`."""
        self._tls.write(plain)
        return self._leaving.read()

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """What `data` says, and what has to be sent because of it."""
        self._arrived.write(data)
        if not self.ready:
            self._shake_hands()
        said = bytearray()
        while self.ready:
            try:
                said += self._tls.read(_PIECE_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):  # no more now, or ever: the socket's end follows
                break
        return bytes(said), self._leaving.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True
