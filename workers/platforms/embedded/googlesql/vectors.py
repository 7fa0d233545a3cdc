"""Arithmetic of FLOAT64 on whole batches, in NumPy.

Each function returns None if a result is not an ordinary finite number. Google's implementation then evaluates the
batch: it knows what infinity and NaN give, and which error a division by zero or an overflow is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_INT64_END = 2.0**63


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
}
"""By the names in functions.toml."""
