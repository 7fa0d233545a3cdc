"""A small table of orders, as people have it in a file, and a model of it."""

import json
from pathlib import Path
from typing import Any

import duckdb

from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
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


def model(**changes: Any) -> Model:
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


def orders_warehouse(tmp_path: Path) -> EmbeddedWarehouse:
    """One with a table of orders, as CSV and as Parquet, and others that cannot be read."""
    csv, parquet = tmp_path / "orders.csv", tmp_path / "orders.parquet"
    csv.write_text(ORDERS)
    duckdb.sql(f"COPY (FROM read_csv('{csv}')) TO '{parquet}'")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "binary.parquet").write_bytes(b"PAR0 and no more")
    tables = {
        "shop.orders": csv,
        "my-project.shop.orders": parquet,
        "shop.empty": tmp_path / "empty.csv",
        "shop.gone": tmp_path / "gone.csv",
        "shop.binary": tmp_path / "binary.parquet",
    }
    return EmbeddedWarehouse(home=tmp_path / "home", tables=tables)


def exported(warehouse: EmbeddedWarehouse, trained: Model, to: Path) -> tuple[dict[str, Any], bytes]:
    """Train, export, and read both files."""
    warehouse.train(model=trained, version=1, progress=RecordedProgress())
    assert warehouse.export(model=trained, version=1, to=str(to), progress=RecordedProgress()) == "onnx"
    assert {path.name for path in to.iterdir()} == {"model.onnx", "signature.json"}
    return json.loads((to / "signature.json").read_text()), (to / "model.onnx").read_bytes()
