"""Verification of a rollout: the endpoint's address is awaited, and one real prediction is requested there."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

from workers.errors import JobError, PermanentError
from workers.platforms.cloud.endpoints.endpoint_objects import EndpointObjects, http_port
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.objects import Object
from workers.platforms.protocols import Progress, Release
from workers.platforms.smoke_test import SmokeTestFailed, expected_signature, predict_once

_RETRY_S = 1.0


def verify(objects: EndpointObjects, service: Object, *, release: Release, progress: Progress) -> None:
    """Wait for the Service's address, then request one real prediction there until it is correct, and log it.

    Raises PermanentError after `address_s` or `answer_s`: proxies need a while to follow a rollout.
    """
    address = _await_address(objects, service, progress)
    model, version, signature = release.model, release.manifest.version, expected_signature(release.model)
    gives_up_at_s = time.monotonic() + objects.timing.answer_s
    with _reachable(objects.api, service, address) as url:
        while True:
            try:
                fact = predict_once(url, model=model.name, version=version, sample=model.sample, signature=signature)
                break
            except SmokeTestFailed as error:
                if time.monotonic() > gives_up_at_s:
                    raise PermanentError(f"v{version} is up but answers incorrectly at {address}. {error}") from error
            progress.wait(_RETRY_S)
    progress.log(f"{address} answers: {fact}")


def _await_address(objects: EndpointObjects, service: Object, progress: Progress) -> str:
    gives_up_at_s = time.monotonic() + objects.timing.address_s
    while not (address := objects.find_address(service)):
        if time.monotonic() > gives_up_at_s:
            raise PermanentError(
                f"The Service {objects.name} has no address.",
                advice="Run `kubectl describe service`. A cluster outside a cloud cannot provide a LoadBalancer.",
            )
        progress.report(0, None, fact=f"waiting for the address of the Service {objects.name}")
        progress.wait(objects.timing.poll_s)
        service = objects.api.get("Service", objects.name) or service
    return address


@contextlib.contextmanager
def _reachable(api: Api, service: Object, address: str) -> Iterator[str]:
    """Yield a URL at which this worker reaches the Service.

    If only the cluster's DNS can resolve `address` and this worker is outside, the URL is a loopback port that relays
    each POST through the API server's proxy.
    """
    if service["spec"].get("type", "ClusterIP") != "ClusterIP" or api.target.inside:
        yield address
        return
    attributes = {"api": api, "service": service["metadata"]["name"], "port": http_port(service)["port"]}
    server = HTTPServer(("127.0.0.1", 0), type("Relay", (_Relay,), attributes))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="relay", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Relay(BaseHTTPRequestHandler):
    api: Api
    service: str
    port: int

    def do_POST(self) -> None:
        """Forward the request. A refusal of the API server becomes an error in the form that endpoints use."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = self.api.ask_service(self.service, self.port, "POST", self.path, body=body)
        except JobError as error:
            advice = getattr(error, "advice", "")
            status, answer = 502, json.dumps({"error": f"{error} {advice}".strip()}).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass  # the smoke test reports failures
