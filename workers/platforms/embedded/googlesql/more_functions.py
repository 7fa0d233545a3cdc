"""Functions of BigQuery and BigQuery ML that the open-source GoogleSQL lacks: their signatures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto


def more_functions(catalogue: "SimpleCatalogProto") -> None:
    """Add the functions to the catalogue."""
