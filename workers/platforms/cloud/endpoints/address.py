"""Where an endpoint is reached, and one real prediction there."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

from workers.errors import JobError, PermanentError
from workers.platforms.cloud.kubernetes.api import Api, ApiResponse
from workers.platforms.cloud.kubernetes.http import Object
from workers.platforms.protocols.cluster import Release
from workers.platforms.protocols.progress import Progress
from workers.platforms.smoke_test import SmokeTestFailed, expected_signature, predict_once

_AGAIN_S = 1.0


def find_address(service: Object, pods: Sequence[Object], *, namespace: str) -> str:
    """The base URL that the Service's type leads to, or "" while there is none yet.

    LoadBalancer: its address. NodePort: a node on which a replica runs (every node answers). Otherwise the Service's
    name in the cluster's DNS, which is the address of everything that runs in the cluster, load tests too.
    https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types
    """
    port = _port(service)
    match service["spec"].get("type"):
        case "LoadBalancer":
            ingress = (service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}])[0]
            host = ingress.get("ip") or ingress.get("hostname") or ""
            return _url(host, port["port"]) if host else ""
        case "NodePort":
            hosts = sorted(pod["status"]["hostIP"] for pod in pods if pod.get("status", {}).get("hostIP"))
            return _url(hosts[0], port["nodePort"]) if hosts and port.get("nodePort") else ""
    return _url(f"{service['metadata']['name']}.{namespace}.svc", port["port"])


def _port(service: Object) -> Object:
    """The Service's port of the REST API: the one named http, or its first."""
    ports: Sequence[Object] = service["spec"]["ports"]
    return next((port for port in ports if port.get("name") == "http"), ports[0])


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def verify(api: Api, *, service: Object, address: str, release: Release, progress: Progress, patience_s: float) -> str:
    """Ask for one real prediction of the release until it is answered rightly; return one fact.

    PermanentError where that does not come within `patience_s`: proxies and load balancers take a while to follow.
    """
    model, version = release.model, release.manifest.version
    gives_up_at_s = time.monotonic() + patience_s
    with _reachable(api, service, address) as url:
        while True:
            try:
                return predict_once(
                    url, model=model.name, version=version, sample=model.sample, signature=expected_signature(model)
                )
            except SmokeTestFailed as error:
                if time.monotonic() > gives_up_at_s:
                    raise PermanentError(
                        f"v{version} is up but does not answer rightly at {address}. {error}"
                    ) from error
            progress.wait(_AGAIN_S)


@contextlib.contextmanager
def _reachable(api: Api, service: Object, address: str) -> Iterator[str]:
    """`address`, or where only the cluster's DNS knows it and this worker is outside: a port of loopback that hands
    every POST to the API server's proxy."""
    if service["spec"].get("type", "ClusterIP") != "ClusterIP" or api.target.inside:
        yield address
        return
    about = {"api": api, "service": service["metadata"]["name"], "port": _port(service)["port"]}
    server = HTTPServer(("127.0.0.1", 0), type("Relay", (_Relay,), about))
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
        """Hand on; what the API server refuses is answered as an endpoint answers errors."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            reply = self.api.ask_service(self.service, self.port, "POST", self.path, body=body)
        except JobError as error:
            advice = getattr(error, "advice", "")
            reply = ApiResponse(status=502, body=json.dumps({"error": f"{error} {advice}".strip()}).encode())
        self.send_response(reply.status)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Nothing: the trial tells what is wrong."""
