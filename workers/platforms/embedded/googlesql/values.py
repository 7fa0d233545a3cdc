"""Values on their way between Python, GoogleSQL's messages and SQL text."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.googlesql.errors import missing
from workers.platforms.embedded.googlesql.types import in_duckdb, kind, show

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto
    from zetasql.wasi._pb2.zetasql.public.value_pb2 import ValueProto

_EPOCH_DATE = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = {
    "BOOL": "bool_value",
    "INT64": "int64_value",
    "DOUBLE": "double_value",
    "STRING": "string_value",
    "BYTES": "bytes_value",
    "JSON": "json_value",
    "ENUM": "enum_value",
}
BACKQUOTE = "`"
_NANOS = 30
"""Bits of the nanoseconds in an encoded TIME."""


def decode(value: "ValueProto", type_: "TypeProto") -> Any:
    """Return the Python value: None, bool, int, float, str, bytes, date, datetime, time, Decimal, list or tuple.

    A TIMESTAMP has the zone UTC, a DATETIME none. Text stands for JSON and INTERVAL.
    """
    which = value.WhichOneof("value")
    if which is None:
        return None
    raw = getattr(value, which)
    name = kind(type_)
    if name in _PLAIN:
        return raw
    if name == "ARRAY":
        return [decode(element, type_.array_type.element_type) for element in raw.element]
    if name == "STRUCT":
        fields = zip(raw.field, type_.struct_type.field, strict=True)
        return tuple(decode(field, of.field_type) for field, of in fields)
    return _DECODERS[name](raw) if name in _DECODERS else _unknown(name)


def _unknown(name: str) -> Any:
    raise missing(f"The type {name}")


def _time(bits: int) -> tuple[int, int, int]:
    return bits >> 12 & 31, bits >> 6 & 63, bits & 63


def _decode_datetime(raw: Any) -> datetime:
    bits = raw.bit_field_datetime_seconds
    return datetime(bits >> 26, bits >> 22 & 15, bits >> 17 & 31, *_time(bits), raw.nanos // 1000)


def _decode_interval(raw: bytes) -> str:
    """Return the text that CAST gives: "Y-M D H:M:S", each part with its sign.

    The bytes are microseconds (64 bits), days (32), and a sign, months (18) and nanoseconds (10, above 3 unused bits):
    https://github.com/google/zetasql/blob/master/zetasql/public/interval_value.h
    """
    micros = int.from_bytes(raw[:8], "little", signed=True)
    days = int.from_bytes(raw[8:12], "little", signed=True)
    bits = int.from_bytes(raw[12:16], "little")
    months = (bits >> 13 & 0x3FFFF) * (-1 if bits >> 31 else 1)
    years, rest = divmod(abs(months), 12)
    seconds, fraction = divmod(abs(micros), 1_000_000)
    clock = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}"
    if fraction:
        clock += f".{fraction:06d}" if fraction % 1000 else f".{fraction // 1000:03d}"
    return f"{'-' if months < 0 else ''}{years}-{rest} {days} {'-' if micros < 0 else ''}{clock}"


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "DATE": lambda raw: _EPOCH_DATE + timedelta(days=raw),
    "TIMESTAMP": lambda raw: _EPOCH + timedelta(seconds=raw.seconds, microseconds=raw.nanos // 1000),
    "DATETIME": _decode_datetime,
    "TIME": lambda raw: time(*_time(raw >> _NANOS), (raw & (1 << _NANOS) - 1) // 1000),
    "INTERVAL": _decode_interval,
    "NUMERIC": lambda raw: Decimal(int.from_bytes(raw, "little", signed=True)).scaleb(-9),
}


def encode(value: Any, type_: "TypeProto", into: "ValueProto") -> None:
    """Write a Python value into a message. The inverse of `decode`; a struct may also be a mapping."""
    name = kind(type_)
    if value is None:
        return
    if name in _PLAIN:
        setattr(into, _PLAIN[name], value)
    elif name == "ARRAY":
        into.array_value.SetInParent()
        for element in value:
            encode(element, type_.array_type.element_type, into.array_value.element.add())
    elif name == "STRUCT":
        into.struct_value.SetInParent()
        parts = value.values() if isinstance(value, dict) else value
        for part, field in zip(parts, type_.struct_type.field, strict=True):
            encode(part, field.field_type, into.struct_value.field.add())
    elif name == "DATE":
        into.date_value = (value - _EPOCH_DATE).days
    elif name == "TIMESTAMP":
        since = value.astimezone(UTC) - _EPOCH
        into.timestamp_value.seconds = since.days * 86400 + since.seconds
        into.timestamp_value.nanos = since.microseconds * 1000
    elif name == "DATETIME":
        bits = (value.year << 26) | (value.month << 22) | (value.day << 17) | _time_bits(value)
        into.datetime_value.bit_field_datetime_seconds = bits
        into.datetime_value.nanos = value.microsecond * 1000
    elif name == "TIME":
        into.time_value = _time_bits(value) << _NANOS | value.microsecond * 1000
    elif name == "NUMERIC":
        scaled = int(value.scaleb(9))
        into.numeric_value = scaled.to_bytes((scaled.bit_length() + 8) // 8 or 1, "little", signed=True)
    else:
        _unknown(name)


def _time_bits(value: datetime | time) -> int:
    return (value.hour << 12) | (value.minute << 6) | value.second


def quoted(text: str) -> str:
    """Return DuckDB's literal of a string."""
    if "\0" in text:
        return f"decode({_blob(text.encode())})"
    return "'" + text.replace("'", "''") + "'"


def identifier(*names: str) -> str:
    """Return a quoted name of DuckDB, with dots between its parts."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _blob(value: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"


def in_sql(value: Any, type_: "TypeProto") -> str:
    """Return the value as an expression of DuckDB that has the type's counterpart."""
    name = kind(type_)
    if value is None:
        return f"NULL::{in_duckdb(type_)}"
    if name == "BOOL":
        return "TRUE" if value else "FALSE"
    if name == "BYTES":
        return _blob(value)
    if name in ("STRING", "JSON", "INTERVAL"):
        return quoted(value)
    if name == "ARRAY":
        elements = ", ".join(in_sql(element, type_.array_type.element_type) for element in value)
        return f"[{elements}]::{in_duckdb(type_)}"
    if name == "STRUCT":
        parts = zip(value, type_.struct_type.field, strict=True)
        fields = ", ".join(f"f{at} := {in_sql(part, field.field_type)}" for at, (part, field) in enumerate(parts))
        return f"struct_pack({fields})"
    if name == "DOUBLE":
        text = repr(value)
    elif isinstance(value, datetime):
        text = value.isoformat(" ").replace("+00:00", "+00")
    else:
        text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return f"'{text}'::{in_duckdb(type_)}"


def in_googlesql(value: Any, type_: "TypeProto") -> str:
    """Return the value as a literal of GoogleSQL."""
    name = kind(type_)
    if value is None:
        return f"CAST(NULL AS {show(type_, quote=BACKQUOTE)})"
    if name == "BOOL":
        return "TRUE" if value else "FALSE"
    if name == "INT64":
        return f"({value})" if value > -(2**63) else "(-9223372036854775807 - 1)"
    if name == "DOUBLE":
        return f"({value!r})" if math.isfinite(value) else f"CAST('{value!r}' AS FLOAT64)"
    if name == "STRING":
        return '"' + "".join(_escaped(character) for character in value) + '"'
    if name == "BYTES":
        return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
    if name == "ARRAY":
        elements = ", ".join(in_googlesql(element, type_.array_type.element_type) for element in value)
        return f"{show(type_, quote=BACKQUOTE)}[{elements}]"
    if name == "STRUCT":
        parts = zip(value, type_.struct_type.field, strict=True)
        fields = ", ".join(in_googlesql(part, field.field_type) for part, field in parts)
        return f"{show(type_, quote=BACKQUOTE)}({fields})"
    if name == "INTERVAL":
        return f"CAST('{value}' AS INTERVAL)"
    if name == "JSON":
        return f"PARSE_JSON({in_googlesql(value, _string())}, wide_number_mode=>'round')"
    text = value.isoformat(" ") if isinstance(value, datetime) else f"{value:f}" if name == "NUMERIC" else str(value)
    return f"{name} '{text}'"


def _string() -> "TypeProto":
    from workers.platforms.embedded.googlesql.types import simple

    return simple("STRING")


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
