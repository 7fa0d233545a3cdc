"""Functions of BigQuery and BigQuery ML that the open-source GoogleSQL lacks: their signatures in functions.toml.

A signature is written as "DOUBLE, ARRAY<DOUBLE>, BOOL? -> STRING"; T and U stand for any type, ? for an optional one.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.googlesql.functions import functions
from workers.platforms.embedded.googlesql.types import array_of, simple, struct_of

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

_MODES = {"scalar": "SCALAR", "aggregate": "AGGREGATE", "window": "ANALYTIC"}
_ANY = {"T": "ARG_TYPE_ANY_1", "U": "ARG_TYPE_ANY_2"}


def add_functions(
    catalogue: "SimpleCatalogProto", shapes: "Mapping[str, Iterable[tuple[TypeProto, TypeProto]]]"
) -> None:
    """Add the functions to the catalogue. `shapes` has the struct types of arguments and results by function."""
    from zetasql.wasi._pb2.zetasql.public.function_pb2 import FunctionEnums

    for section, rows in functions().items():
        for name, row in rows.items():
            if not row.signatures:
                continue
            mode = FunctionEnums.Mode.Value(_MODES[section])
            *parents, _ = path = name.upper().split(".")
            entry = _parent(catalogue, parents).custom_function.add(name_path=path, group="seatrial", mode=mode)
            entry.options.supports_over_clause = section != "scalar"
            for given, returned in shapes.get(name, ()):
                signature = entry.signature.add()
                _argument(signature.argument.add(), given)
                _argument(signature.argument.add(), "INT64?")
                _argument(signature.return_type, returned)
            for text in () if shapes.get(name) else row.signatures:
                arguments, _, result = text.partition(" -> ")
                signature = entry.signature.add()
                for argument in _split(arguments):
                    _argument(signature.argument.add(), argument)
                _argument(signature.return_type, result)


def _parent(catalogue: "SimpleCatalogProto", names: list[str]) -> "SimpleCatalogProto":
    for name in names:
        found = [child for child in catalogue.catalog if child.name == name]
        catalogue = found[0] if found else catalogue.catalog.add(name=name)
    return catalogue


def _argument(entry: Any, given: "str | TypeProto") -> None:
    from zetasql.wasi._pb2.zetasql.public.function_pb2 import FunctionEnums, SignatureArgumentKind

    is_optional = isinstance(given, str) and given.endswith("?")
    entry.num_occurrences = -1
    entry.options.cardinality = FunctionEnums.OPTIONAL if is_optional else FunctionEnums.REQUIRED
    if isinstance(given, str) and given in _ANY:
        entry.kind = SignatureArgumentKind.Value(_ANY[given])
        return
    entry.kind = SignatureArgumentKind.Value("ARG_TYPE_FIXED")
    entry.type.CopyFrom(_type(given.removesuffix("?")) if isinstance(given, str) else given)


def _type(text: str) -> "TypeProto":
    if text.startswith("ARRAY<"):
        return array_of(_type(text[6:-1]))
    if text.startswith("STRUCT<"):
        return struct_of([("", _type(part)) for part in _split(text[7:-1])])
    return simple(text)


def _split(text: str) -> list[str]:
    """Split at the commas outside of < and >."""
    parts, depth = [""], 0
    for character in text:
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
