"""Parts and differences of dates and times that DuckDB has as GoogleSQL: by function, part and kind of the argument.

Others, and those in a time zone, are evaluated by Google's implementation.
"""

_DAYS = ("DATE", "DATETIME", "TIMESTAMP")
_TIMES = ("DATETIME", "TIMESTAMP")
_MICROSECONDS = {
    "MILLISECOND": 10**3,
    "SECOND": 10**6,
    "MINUTE": 60 * 10**6,
    "HOUR": 3600 * 10**6,
    "DAY": 86400 * 10**6,
}

NATIVE_DATES: dict[tuple[str, str, str], str] = {
    **{
        ("$extract", part, kind): f"extract({part.lower()} FROM {{0}})"
        for part in ("YEAR", "QUARTER", "MONTH", "DAY")
        for kind in _DAYS
    },
    **{("$extract", "DAYOFWEEK", kind): "(extract(dow FROM {0}) + 1)" for kind in _DAYS},
    **{("$extract", "DAYOFYEAR", kind): "extract(doy FROM {0})" for kind in _DAYS},
    **{
        ("$extract", part, kind): f"extract({part.lower()} FROM {{0}})"
        for part in ("HOUR", "MINUTE", "SECOND")
        for kind in _TIMES
    },
    **{
        ("timestamp_diff", part, "TIMESTAMP"): f"((epoch_us({{0}}) - epoch_us({{1}})) // {size})"
        for part, size in _MICROSECONDS.items()
    },
    ("date_diff", "DAY", "DATE"): "({0} - {1})",
    **{
        (f"{kind.lower()}_trunc", part, kind): f"date_trunc('{part.lower()}', {{0}})"
        for part in ("YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
        for kind in _TIMES
    },
    **{
        ("date_trunc", part, "DATE"): f"CAST(date_trunc('{part.lower()}', {{0}}) AS DATE)"
        for part in ("YEAR", "QUARTER", "MONTH")
    },
}
"""Expressions with {0} and {1} for the arguments before the part."""
