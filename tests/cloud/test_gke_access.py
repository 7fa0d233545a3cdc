"""Access to GKE clusters: look-up, TLS and tokens, against Google's APIs on loopback."""

import base64
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")
x509 = pytest.importorskip("cryptography.x509")
pytest.importorskip("google.auth.transport.requests")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402

from workers.errors import PermanentError, TemporaryError  # noqa: E402
from workers.platforms.cloud.kubernetes import access  # noqa: E402
from workers.platforms.cloud.kubernetes.api import connect  # noqa: E402


class Google:
    """Google's token service, its container API and one control plane with TLS, on loopback.

    https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters
    https://developers.google.com/identity/protocols/oauth2/service-account#httprest
    """

    def __init__(self, folder: Path) -> None:
        self.tokens = 0
        self.authorized: list[str] = []
        self.revoked: set[str] = set()
        self.token_status = 200
        self.cluster_answer: tuple[int, dict[str, Any]] = (200, {})
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = _self_signed(self.key)
        self.ca = base64.b64encode(certificate).decode()
        self._files = folder / "tls.pem"
        self._files.write_bytes(certificate + _pem(self.key))
        self.plain, self.tls = self._server(), self._server(self._files)
        self.answer_with_cluster()

    def answer_with_cluster(self, **more: Any) -> None:
        endpoint = f"127.0.0.1:{self.tls.server_address[1]}"
        self.cluster_answer = (200, {"endpoint": endpoint, "masterAuth": {"clusterCaCertificate": self.ca}, **more})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.plain.server_address[1]}"

    def _server(self, certificate: Path | None = None) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_GoogleHandler,), {"google": self}))
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def close(self) -> None:
        for server in (self.plain, self.tls):
            server.shutdown()
            server.server_close()


class _GoogleHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    google: Google

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.google.tokens += 1
        if self.google.token_status != 200:
            self._send(self.google.token_status, {"error": "invalid_grant"})
            return
        self._send(200, {"access_token": f"token-{self.google.tokens}", "expires_in": 3600, "token_type": "Bearer"})

    def do_GET(self) -> None:
        self.google.authorized.append(f"{self.path} {self.headers['Authorization']}")
        if self.path.startswith("/v1/projects/"):
            self._send(*self.google.cluster_answer)
        elif str(self.headers["Authorization"]).removeprefix("Bearer ") in self.google.revoked:
            self._send(401, {"kind": "Status", "message": "Unauthorized"})
        else:
            self._send(200, {"metadata": {"resourceVersion": "1"}, "items": []})

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Yield Google on loopback, and a service account in Application Default Credentials."""
    google = Google(tmp_path)
    account = {
        "type": "service_account", "project_id": "p", "private_key_id": "1", "client_email": "worker@p.iam",
        "private_key": _pem(google.key).decode(), "token_uri": f"{google.url}/token",
    }  # fmt: skip
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setattr(access, "_GKE", f"{google.url}/v1")
    yield google
    google.close()


ADDRESS = "gke://p/us-central1-b/serving/prod"


def test_gke_cluster_is_looked_up_and_its_certificate_trusted(google: Google) -> None:
    """Endpoint and CA come from the container API, the token from the worker's Google account; each is read once."""
    api = connect(ADDRESS)
    assert google.authorized == [], "connecting sends no request"
    assert api.list("Pod") == api.list("Service") == ()
    assert google.authorized == [
        "/v1/projects/p/locations/us-central1-b/clusters/serving Bearer token-1",
        "/api/v1/namespaces/prod/pods Bearer token-1",
        "/api/v1/namespaces/prod/services Bearer token-1",
    ]


def test_expired_token_is_replaced_before_the_call(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = access.log_in(*access._SCOPES)
    monkeypatch.setattr(access, "log_in", lambda *scopes: credentials)
    api = connect(ADDRESS)
    api.list("Pod")
    credentials.expiry = datetime.datetime(2020, 1, 1)  # google-auth uses naive datetimes
    api.list("Pod")
    assert [line.rpartition(" ")[2] for line in google.authorized] == ["token-1", "token-1", "token-2"]


def test_rejected_login_is_repeated_once(google: Google) -> None:
    """In the same call, and again in the next call if the new login is rejected too."""
    api = connect(ADDRESS)
    api.list("Pod")
    google.revoked = {"token-1"}
    assert api.list("Pod") == ()
    google.revoked = {f"token-{number}" for number in range(10)}
    with pytest.raises(PermanentError, match="does not accept the credentials: Unauthorized") as caught:
        api.list("Pod")
    assert "Log in again" in caught.value.advice
    google.revoked = set()
    assert api.list("Pod") == (), "a new login needs no restart of the worker"


def test_login_is_repeated_after_a_refused_refresh(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new login on the machine takes effect without a restart of the worker."""
    credentials = access.log_in(*access._SCOPES)
    with monkeypatch.context() as patch:
        patch.setattr(access, "log_in", lambda *scopes: credentials)
        api = connect(ADDRESS)
        api.list("Pod")
    credentials.expiry = datetime.datetime(2020, 1, 1)
    google.token_status = 400
    with pytest.raises(PermanentError, match="Google gave no token"):
        api.list("Pod")
    google.token_status = 200
    credentials._token_uri = "http://127.0.0.1:1/revoked"  # the old login stays invalid
    assert api.list("Pod") == ()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ((403, {"error": {"message": "Required container.clusters.get"}}), PermanentError, "container.clusters.get"),
        ((404, {"error": {"message": "Not found: serving"}}), PermanentError, "Not found: serving"),
        ((503, {"error": {"message": "try later"}}), TemporaryError, "try later"),
        ((200, {"status": "PROVISIONING"}), TemporaryError, "still creating"),
    ],
)
def test_unavailable_gke_cluster_is_reported(
    google: Google, answer: tuple[int, dict[str, Any]], kind: type[Exception], message: str
) -> None:
    """With Google's message and the missing role. The next call looks the cluster up again."""
    google.cluster_answer = answer
    api = connect(ADDRESS)
    with pytest.raises(kind, match=message) as caught:
        api.list("Pod")
    assert kind is TemporaryError or "roles/container.developer" in caught.value.advice
    google.answer_with_cluster()
    assert api.list("Pod") == ()


def test_certificate_of_another_ca_is_not_trusted(google: Google) -> None:
    """The error is permanent."""
    google.ca = base64.b64encode(_self_signed(rsa.generate_private_key(public_exponent=65537, key_size=2048))).decode()
    google.answer_with_cluster()
    with pytest.raises(PermanentError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(ADDRESS).list("Pod")


def test_dns_endpoint_is_used_if_ip_endpoints_are_disabled() -> None:
    """Its certificate is publicly signed."""
    found = {
        "endpoint": "10.0.0.2",
        "masterAuth": {"clusterCaCertificate": "x"},
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {"endpoint": "gke-1.us-central1-b.gke.goog", "allowExternalTraffic": True},
            "ipEndpointsConfig": {"enabled": False},
        },
    }
    assert access._endpoint(found) == ("https://gke-1.us-central1-b.gke.goog", "")
    found["controlPlaneEndpointsConfig"]["ipEndpointsConfig"] = {"enabled": True}  # type: ignore[index]
    assert access._endpoint(found) == ("https://10.0.0.2", "x")


def _pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def _self_signed(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "control plane")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem: bytes = built.public_bytes(serialization.Encoding.PEM)
    return pem
