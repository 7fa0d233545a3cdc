"""The BigQuery stand-in on loopback, a warehouse that talks to it, and the irises' settings."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cloud.bigquery_stand_in import BigQueryStandIn, Refused
from tests.platforms.recorded_progress import RecordedProgress
from workers.contract.settings import Model
from workers.errors import HandedBack
from workers.platforms.cloud.warehouse import BigQueryWarehouse

IRIS = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"


def warehouse(bigquery: BigQueryStandIn, **changes: Any) -> BigQueryWarehouse:
    settings = {"project": "demo", "dataset": "ships", "location": "EU", "bucket": "models", "poll_s": 0.01}
    return BigQueryWarehouse(**{**settings, "endpoint": bigquery.url, **changes})


def model(**changes: Any) -> Model:
    iris = {"name": "iris", "type": "logistic_reg", "label": "species", "query": IRIS, "sample": ({"a": 1.0},)}
    return Model(**{**iris, **changes})


def trained(bigquery: BigQueryStandIn, wanted: Model) -> None:
    warehouse(bigquery).train(model=wanted, version=3, progress=RecordedProgress())


class HandedBackInTraining(RecordedProgress):
    """A worker that shuts down once the training runs."""

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        super().report(done, total, fact=fact)
        if "iteration" in fact:
            raise HandedBack("The worker is shutting down.")


@contextmanager
def serving(stand_in: BigQueryStandIn) -> Iterator[BigQueryStandIn]:
    """Serve it on loopback; its `url` is set."""
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
    class Handler(BaseHTTPRequestHandler):
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
                    raise Refused(fault.status, fault.reason, fault.message)
                status, answer = 200, stand_in.answer(method, self.path, body)
                if fault and fault.drop:
                    self.close_connection = True
                    return
            except Refused as refused:
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
            """Say nothing."""

    return Handler
