"""The catalogue of a query: GoogleSQL's functions, those of BigQuery and BigQuery ML beside them, and the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from workers.platforms.embedded.googlesql.library import Library, library
from workers.platforms.embedded.googlesql.more_functions import add_functions

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.proto.options_pb2 import AnalyzerOptionsProto
    from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto
    from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

Shapes = Mapping[str, "list[tuple[TypeProto, TypeProto]]"]
SUFFIX = "_TABLE_SUFFIX"
"""The column of a wildcard table: https://cloud.google.com/bigquery/docs/querying-wildcard-tables"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table by the path that a query names it with, and its columns. `has_suffix`: a wildcard table."""

    path: tuple[str, ...]
    columns: "Mapping[str, TypeProto]"
    has_suffix: bool = False


@lru_cache(maxsize=1)
def _options() -> "AnalyzerOptionsProto":
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
    from zetasql.wasi._pb2.zetasql.proto import options_pb2
    from zetasql.wasi._pb2.zetasql.public import options_pb2 as public

    language = library().call(
        "GetLanguageOptions", service.LanguageOptionsRequest(maximum_features=True), options_pb2.LanguageOptionsProto
    )
    language.product_mode = public.ProductMode.Value("PRODUCT_EXTERNAL")
    options_ = library().call("GetAnalyzerOptions", service.AnalyzerOptionsRequest(), options_pb2.AnalyzerOptionsProto)
    options_.language_options.CopyFrom(language)
    options_.default_timezone = "UTC"
    return options_


def options() -> "AnalyzerOptionsProto":
    """Return a copy of the analyzer's options: BigQuery's product mode and its default time zone, UTC."""
    copy = type(_options())()
    copy.CopyFrom(_options())
    return copy


def builtin_functions() -> dict[str, Any]:
    """Return the fields of a request that name the catalogue without tables, which the library keeps."""
    return _registered(library())


@lru_cache(maxsize=1)
def _registered(instance: Library) -> dict[str, Any]:
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

    request = service.RegisterCatalogRequest(simple_catalog=_functions(), descriptor_pool_list=_POOL)
    registered = instance.call("RegisterCatalog", request, service.RegisterResponse)
    pools = [{"registered_id": id_} for id_ in registered.descriptor_pool_id_list.registered_ids]
    return {"registered_catalog_id": registered.registered_id, "descriptor_pool_list": {"definitions": pools}}


_POOL: Any = {"definitions": [{"builtin": {}}]}


def _functions() -> "SimpleCatalogProto":
    from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto

    catalogue = SimpleCatalogProto(name="seatrial")
    catalogue.builtin_function_options.language_options.CopyFrom(_options().language_options)
    return catalogue


def with_tables(tables: "list[Table]", shapes: "Shapes | None" = None) -> dict[str, Any]:
    """Return the fields of a request that hold the catalogue. A table's serialization_id is its place in `tables`.

    `shapes` are signatures of functions whose result is a struct with fields that depend on the arguments.
    """
    catalogue = _functions()
    add_functions(catalogue, shapes or {})
    for number, table in enumerate(tables):
        parent = catalogue
        for name in table.path[:-1]:
            children = [child for child in parent.catalog if child.name == name]
            parent = children[0] if children else parent.catalog.add(name=name)
        entry = parent.table.add(name=table.path[-1], serialization_id=number)
        for name, type_ in table.columns.items():
            entry.column.add(name=name).type.CopyFrom(type_)
        if table.has_suffix:
            from workers.platforms.embedded.googlesql.types import simple

            entry.column.add(name=SUFFIX, is_pseudo_column=True).type.CopyFrom(simple("STRING"))
    return {"simple_catalog": catalogue, "descriptor_pool_list": _POOL}
