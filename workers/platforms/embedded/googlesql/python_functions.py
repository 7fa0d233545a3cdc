"""Functions for which Google's implementation as WebAssembly lacks data or code, in Python."""

import base64
import binascii
import unicodedata
from collections.abc import Callable
from typing import Any

from workers.platforms.embedded.googlesql.errors import Refused


def _fold(text: str, form: str = "NFC") -> str:
    return unicodedata.normalize(form, unicodedata.normalize(form, text).casefold())  # type: ignore[arg-type]


def _from_base32(text: str) -> bytes:
    try:
        return base64.b32decode(text)
    except binascii.Error:
        raise Refused(f"failed to decode the base32 text {text!r}.") from None


PYTHON_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "normalize": lambda text, form="NFC": unicodedata.normalize(form, text),
    "normalize_and_casefold": _fold,
    "contains_substr": lambda text, part: _fold(part, "NFKC") in _fold(text, "NFKC"),
    "to_base32": lambda content: base64.b32encode(content).decode(),
    "from_base32": _from_base32,
}
"""By name. They get values without NULL, and keywords as text; a call with a NULL is NULL."""
