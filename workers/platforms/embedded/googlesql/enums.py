"""Date parts and other keywords, which a resolved query holds as values of enums."""

from functools import lru_cache
from typing import Any

from workers.platforms.embedded.googlesql.nodes import Node, concrete, name_of, type_of
from workers.platforms.embedded.googlesql.types import kind


def is_part(expression: Node) -> bool:
    node = concrete(expression)
    return name_of(node) == "Literal" and kind(type_of(node)) == "ENUM"


def part_text(expression: Node) -> str:
    """Return the keyword as GoogleSQL writes it, such as "DAY", "WEEK(MONDAY)" or "NFKC"."""
    node = concrete(expression)
    value = node.value.value.enum_value
    enum = type_of(node).enum_type.enum_name.rpartition(".")[2]
    name: str = _enums()[enum].values_by_number[value].name
    if enum == "DateTimestampPart":
        return f"WEEK({name.removeprefix('WEEK_')})" if name.startswith("WEEK_") else name
    return f'"{name}"'


@lru_cache(maxsize=1)
def _enums() -> dict[str, Any]:
    from zetasql.wasi._pb2.zetasql.public.functions import (
        array_zip_mode_pb2,
        datetime_pb2,
        normalize_mode_pb2,
        rounding_mode_pb2,
    )

    modules = (array_zip_mode_pb2, datetime_pb2, normalize_mode_pb2, rounding_mode_pb2)
    return {name: enum for module in modules for name, enum in module.DESCRIPTOR.enum_types_by_name.items()}
