"""Content codings of request bodies (https://www.rfc-editor.org/rfc/rfc9110#section-8.4): gzip."""

import zlib
from collections.abc import Iterable

ACCEPTED = "gzip"
_GZIP = ("gzip", "x-gzip")
_GZIP_BITS = 31  # zlib's window bits for a gzip header and trailer


class UnpackError(Exception):
    """The body cannot be unpacked. `status` is the HTTP status: 400 broken, 413 too large, 415 unknown coding."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def coding_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the value of Content-Encoding, or "" for a body that is not encoded."""
    codings = ",".join(value.decode("latin-1").lower() for name, value in headers if name == b"content-encoding")
    return "" if codings.strip() == "identity" else codings.strip()


def unpack(body: bytes, coding: str, *, limit: int) -> bytes:
    """Return the body without its coding. Raises UnpackError.

    Unpacking ends at `limit` bytes, because a packed body can hold a thousand times its own size.
    """
    if coding not in _GZIP:
        raise UnpackError(415, f"Content-Encoding {coding[:40]!r} is not accepted; send {ACCEPTED} or none")
    unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise UnpackError(400, f"Content-Encoding is gzip, but the body is not: {error}") from error
    if len(unpacked) > limit:
        raise UnpackError(413, f"Request body is larger than {limit} bytes when unpacked")
    if not unpacker.eof or unpacker.unused_data:
        what = "has bytes after its end" if unpacker.eof else "ends early"
        raise UnpackError(400, f"Content-Encoding is gzip, but the gzip data {what}")
    return unpacked
