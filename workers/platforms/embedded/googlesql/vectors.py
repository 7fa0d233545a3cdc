"""Frequent functions on whole batches, in NumPy and Python.

Each returns None for a batch with a value that is not ordinary: not finite, or not ASCII. Google's implementation then
evaluates the batch: it knows what infinity and NaN give, and which error a division by zero or an overflow is.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_INT64_END = 2.0**63
_MOST_DIGITS = 9
_WHOLE = 2.0**52
"""Numbers from here on have no fraction."""


def _finite(values: "Array") -> "Array | None":
    import numpy as np

    return values if np.isfinite(values).all() else None


def _binary(operation: str) -> "Callable[[Array, Array], Array | None]":
    def compute(left: "Array", right: "Array") -> "Array | None":
        import numpy as np

        return _finite(getattr(np, operation)(left, right))

    return compute


def _unary(operation: str) -> "Callable[[Array], Array | None]":
    def compute(values: "Array") -> "Array | None":
        import numpy as np

        return _finite(getattr(np, operation)(values))

    return compute


def _round(values: "Array") -> "Array | None":
    """Round to integers, halves away from zero."""
    import numpy as np

    whole = np.trunc(values)
    return _finite(whole + np.where(np.abs(values - whole) >= 0.5, np.sign(values), 0.0))


def _round_digits(values: "Array", digits: "Array") -> "Array | None":
    """Round to decimal digits, halves away from zero, by the exact value of the binary number."""
    import numpy as np

    if not np.isfinite(values).all() or len(set(digits.tolist())) != 1 or not 0 <= digits[0] <= _MOST_DIGITS:
        return None
    unit = Decimal(1).scaleb(-int(digits[0]))
    numbers = (
        value if abs(value) >= _WHOLE else float(Decimal(value).quantize(unit, ROUND_HALF_UP))
        for value in values.tolist()
    )
    return np.fromiter(numbers, dtype=np.float64, count=len(values))


def _to_string(values: "Array") -> "Array | None":
    """Write numbers with 15 digits, or 17 if 15 do not identify the number."""
    import numpy as np

    if not np.isfinite(values).all():
        return None
    texts = ((f"{value:.15g}", value) for value in (values + 0.0).tolist())
    return np.array([text if float(text) == value else f"{value:.17g}" for text, value in texts], dtype=object)


def _ascii(change: "Callable[[str], str]") -> "Callable[[Array], Array | None]":
    def compute(values: "Array") -> "Array | None":
        import numpy as np

        texts = values.tolist()
        return np.array([change(text) for text in texts], dtype=object) if all(map(str.isascii, texts)) else None

    return compute


def _to_int64(values: "Array") -> "Array | None":
    import numpy as np

    rounded = _round(values)
    if rounded is None or not ((rounded >= -_INT64_END) & (rounded < _INT64_END)).all():
        return None
    return rounded.astype(np.int64)


VECTORS: "dict[str, Callable[..., Array | None]]" = {
    "add": _binary("add"),
    "subtract": _binary("subtract"),
    "multiply": _binary("multiply"),
    "divide": _binary("divide"),
    "power": _binary("power"),
    "maximum": _binary("maximum"),
    "minimum": _binary("minimum"),
    "sqrt": _unary("sqrt"),
    "exp": _unary("exp"),
    "log": _unary("log"),
    "log10": _unary("log10"),
    "round": _round,
    "to_int64": _to_int64,
    "round_digits": _round_digits,
    "to_string": _to_string,
    "upper": _ascii(str.upper),
    "lower": _ascii(str.lower),
}
"""By the names in functions.toml."""
