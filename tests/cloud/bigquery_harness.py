"""BigQuery stand-in on loopback, a warehouse adapter for it, and the settings and table of the irises."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import duckdb
import pandas as pd
import sqlglot
from sklearn.datasets import load_iris
from sqlglot import exp
from sqlglot.errors import ParseError

from tests.cloud.bigquery_stand_in import IRIS_COLUMNS, ApiError, BigQueryStandIn, Table
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import ShuttingDown
from workers.platforms.cloud.bigquery.warehouse import BigQueryWarehouse

IRIS = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
_API_TYPES = {"DOUBLE": "FLOAT", "VARCHAR": "STRING", "BIGINT": "INTEGER", "HUGEINT": "INTEGER", "BOOLEAN": "BOOLEAN"}


def warehouse(bigquery: BigQueryStandIn, **changes: Any) -> BigQueryWarehouse:
    settings = {"project": "demo", "dataset": "sales", "location": "EU", "bucket": "models", "poll_s": 0.01}
    return BigQueryWarehouse(**{**settings, "endpoint": bigquery.url, **changes})


def model(**changes: Any) -> Model:
    iris = {"name": "iris", "type": "logistic_reg", "label": "species", "query": IRIS, "sample": ({"a": 1.0},)}
    return Model(**{**iris, **changes})


def trained(bigquery: BigQueryStandIn, wanted: Model) -> None:
    warehouse(bigquery).train(model=wanted, version=3, progress=RecordedProgress())


def run_on_irises(sql: str) -> tuple[str, Table]:
    """Run a query with DuckDB, over the public iris table only, with BigQuery's reasons of errors (https://cloud.google.com/bigquery/docs/error-messages)."""
    try:
        statements = sqlglot.parse(sql, read="bigquery")
    except ParseError as error:
        at = error.errors[0]
        message = f'Syntax error: Unexpected "{at["highlight"]}" at [{at["line"]}:{at["col"]}]'
        raise ApiError(400, "invalidQuery", message) from error
    if len(statements) > 1:
        return "SCRIPT", ((), ())
    (statement,) = statements
    assert statement
    for table in list(statement.find_all(exp.Table)):
        project, _, name = ".".join(part.name for part in table.parts).partition(".")
        if (project, name) != ("bigquery-public-data", "ml_datasets.iris"):
            raise ApiError(404, "notFound", f"Not found: Table {project}:{name} was not found in location EU")
        table.replace(exp.to_table("irises"))
    for counted in list(statement.find_all(exp.CountIf)):
        # Without rows, DuckDB returns NULL and BigQuery returns 0.
        counted.replace(exp.func("COALESCE", counted.copy(), exp.Literal.number(0)))
    return "SELECT", _answered(statement.sql(dialect="duckdb"))


def _answered(sql: str) -> Table:
    """Return DuckDB's rows with the API's names of types."""
    found = load_iris()
    irises = pd.DataFrame(found.data, columns=[name for name, _ in IRIS_COLUMNS[:4]])
    irises["species"] = [str(found.target_names[number]) for number in found.target]
    with duckdb.connect() as database:
        database.register("irises", irises)
        try:
            answer = database.execute(sql)
        except duckdb.BinderException as error:
            name = re.search('column "([^"]+)" not found', str(error))
            raise ApiError(400, "invalidQuery", f"Unrecognized name: {name[1] if name else error}") from error
        columns = [(str(column[0]), _API_TYPES[str(column[1])]) for column in answer.description]
        return columns, answer.fetchall()


class ShutDownInTraining(RecordedProgress):
    """Progress of a worker that shuts down once the training runs."""

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        super().report(done, total, fact=fact)
        if "iteration" in fact:
            raise ShuttingDown("The worker is shutting down.")


@contextmanager
def serving(stand_in: BigQueryStandIn) -> Iterator[BigQueryStandIn]:
    """Serve the stand-in on loopback and set its `url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(stand_in: BigQueryStandIn) -> type[BaseHTTPRequestHandler]:
    class BigQueryHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_PATCH(self) -> None:
            self._answer("PATCH")

        def _answer(self, method: str) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}")
            fault = stand_in.fault(method, self.path)
            try:
                if fault and not fault.after:
                    raise ApiError(fault.status, fault.reason, fault.message)
                status, answer = 200, stand_in.answer(method, self.path, body)
                if fault and fault.drop:
                    self.close_connection = True
                    return
            except ApiError as refused:
                error = {"reason": refused.reason, "message": refused.message, "domain": "global"}
                status = refused.status
                answer = {"error": {"code": status, "message": refused.message, "errors": [error]}}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log no request."""

    return BigQueryHandler
