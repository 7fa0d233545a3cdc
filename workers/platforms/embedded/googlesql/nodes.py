"""Access to the nodes of a resolved query, which are messages that wrap their base class as a field `parent`.

https://github.com/google/zetasql/blob/master/docs/resolved_ast.md
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

Node = Any
"""A message of a resolved node, such as ResolvedFunctionCallProto."""


def concrete(node: Node) -> Node:
    """Return the node inside its wrappers, such as AnyResolvedExprProto."""
    while node.DESCRIPTOR.name.startswith("AnyResolved"):
        node = getattr(node, node.WhichOneof("node"))
    return node


def name_of(node: Node) -> str:
    """Return the node's class, such as "FunctionCall" or "TableScan"."""
    return str(node.DESCRIPTOR.name).removeprefix("Resolved").removesuffix("Proto")


def base(node: Node, field: str) -> Node:
    """Return the part of the node's class hierarchy that has `field`."""
    while field not in node.DESCRIPTOR.fields_by_name:
        node = node.parent
    return node


def type_of(expression: Node) -> "TypeProto":
    return base(concrete(expression), "type").type


def columns_of(scan: Node) -> list[Node]:
    """Return the columns that a scan produces."""
    return list(base(concrete(scan), "column_list").column_list)


def is_set(node: Node, field: str) -> bool:
    """Return whether the optional message in `field` is present and not empty."""
    part = base(node, field)
    return bool(part.HasField(field)) and bool(getattr(part, field).ByteSize())


def column_name(column: Node) -> str:
    """Return the name of a resolved column in DuckDB's SQL. It is unique in the whole query."""
    return f"c{column.column_id}"


def enum_name(node: Node, field: str) -> str:
    """Return the name of an enum's value, such as "LEFT"."""
    descriptor = node.DESCRIPTOR.fields_by_name[field]
    return str(descriptor.enum_type.values_by_number[getattr(node, field)].name)


def function_name(call: Node) -> str:
    """Return the name of the function in a ResolvedFunctionCallBase, such as "$add", "substr" or "net.host"."""
    return str(call.function.name).partition(":")[2].lower()


def calls_of(node: Node, names: tuple[str, ...]) -> Iterator[Node]:
    """Return all calls of these functions in a tree."""
    if name_of(node) == "FunctionCallBase" and function_name(node) in names:
        yield node
    for field, value in node.ListFields():
        if field.message_type is not None and field.message_type.name.startswith(("Resolved", "AnyResolved")):
            for part in value if field.is_repeated else (value,):
                yield from calls_of(part, names)
