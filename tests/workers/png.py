"""A reader of PNG files for the chart tests."""

import struct
import zlib


def size_of_png(picture: bytes) -> tuple[int, int]:
    """Return width and height. Check all checksums and the last chunk (PNG, third edition, section 5)."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    kinds, at = [], 8
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        kind, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", picture, at + 8 + length)
        assert zlib.crc32(kind + data) == checksum
        kinds.append(kind)
        at += 12 + length
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
    width, height = struct.unpack_from(">II", picture, 16)
    return width, height
