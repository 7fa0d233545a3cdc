"""TLS over bytes, for sockets driven by an event loop. It touches no socket."""

import ssl

_READ_BYTES = 65536


class Tls:
    """TLS state of one connection: bytes in, bytes out.

    `receive`, `send` and `begin` raise ssl.SSLError if the peer cannot be trusted or breaks the protocol.
    """

    def __init__(self, context: ssl.SSLContext, *, server: str) -> None:
        self.ready = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server)

    def begin(self) -> bytes:
        self._shake_hands()
        return self._outgoing.read()

    def send(self, plain: bytes) -> bytes:
        """Encrypt `plain`; call only if `ready`."""
        self._tls.write(plain)
        return self._outgoing.read()

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Decrypt `data`. Return the plain text, and bytes that must be sent in reply."""
        self._incoming.write(data)
        if not self.ready:
            self._shake_hands()
        plain = bytearray()
        while self.ready:
            try:
                plain += self._tls.read(_READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):  # the latter precedes the socket's end
                break
        return bytes(plain), self._outgoing.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True
