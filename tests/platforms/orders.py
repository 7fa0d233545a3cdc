"""A small table of orders in files, a warehouse with it, and a model of it."""

import json
from pathlib import Path
from typing import Any

import duckdb

from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.platforms.embedded.warehouse.tables import StoredTable
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

ORDERS = """\
amount,channel,returning,day,status
10.5,web,true,2026-01-01,kept
3.25,shop,false,2026-01-02,returned
,web,true,2026-01-03,kept
7.0,,,2026-01-04,returned
8.0,phone,false,2026-01-05,
2.0,shop,false,2026-01-06,returned
"""


def orders_model(**changes: Any) -> Model:
    return Model(
        **{
            "name": "orders",
            "type": "logistic_reg",
            "label": "status",
            "query": "SELECT * EXCEPT(day) FROM shop.orders",
            "sample": ({"amount": 1.0},),
            **changes,
        }
    )


def orders_tables(folder: Path) -> dict[str, StoredTable]:
    """Write the orders as CSV and as Parquet, and three files that cannot be read. Return them by table name."""
    csv, parquet = folder / "orders.csv", folder / "orders.parquet"
    csv.write_text(ORDERS)
    duckdb.sql(f"COPY (FROM read_csv('{csv}')) TO '{parquet}'")
    (folder / "empty.csv").write_bytes(b"")
    (folder / "binary.parquet").write_bytes(b"PAR0 and no more")
    files = {
        "shop.orders": csv,
        "my-project.shop.orders": parquet,
        "shop.empty": folder / "empty.csv",
        "shop.gone": folder / "gone.csv",
        "shop.binary": folder / "binary.parquet",
    }
    return {name: StoredTable(path=path) for name, path in files.items()}


def orders_warehouse(folder: Path) -> EmbeddedWarehouse:
    return EmbeddedWarehouse(home=folder / "home", tables=orders_tables(folder))


def train_and_export(warehouse: EmbeddedWarehouse, model: Model, to: Path) -> tuple[dict[str, Any], bytes]:
    """Return the signature and the graph of a linear model."""
    warehouse.train(model=model, version=1, progress=RecordedProgress())
    assert warehouse.export(model=model, version=1, to=str(to), progress=RecordedProgress()) == "onnx"
    assert {path.name for path in to.iterdir()} == {"model.onnx", "signature.json"}
    return json.loads((to / "signature.json").read_text()), (to / "model.onnx").read_bytes()
