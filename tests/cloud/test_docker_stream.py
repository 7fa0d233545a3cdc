"""Build contexts, messages of the engine, and registry credentials, without an engine."""

import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.platforms.progress import RecordedProgress
from workers.contract.settings import ImageSettings, Model, SettingsError
from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.docker.context import dockerfile, write_context
from workers.platforms.cloud.docker.credentials import Credentials, registry_of
from workers.platforms.cloud.docker.engine import DockerEngine
from workers.platforms.cloud.docker.images import DockerImages
from workers.platforms.cloud.docker.stream import MOST_LOG_LINES, Message, follow_build, follow_pull, follow_push
from workers.platforms.connect import connect
from workers.settings import read_settings

REPOSITORY = "europe-docker.pkg.dev/ships/models/fruit"


def context(folder: Path) -> bytes:
    """Return the build context of version 3 of the model in `folder`."""
    written = io.BytesIO()
    write_context(written, dockerfile="FROM base\n", folder=folder, model="fruit", version=3)
    return written.getvalue()


def model_in(folder: Path) -> Path:
    """Write a model of two files."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "index").write_bytes(b"index")
    return folder


def test_same_files_give_the_same_context(tmp_path: Path) -> None:
    """Time, order and permissions of the files do not matter."""
    one, other = model_in(tmp_path / "one"), tmp_path / "other"
    (other / "variables").mkdir(parents=True)
    (other / "variables" / "index").write_bytes(b"index")
    (other / "saved_model.pb").write_bytes(b"graph")
    (other / "saved_model.pb").chmod(0o600)
    os.utime(other / "variables", (1, 1))
    assert context(one) == context(other)


def test_context_has_the_layout_of_tensorflow_serving(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(context(model_in(tmp_path / "m")))) as tar:
        entries = {entry.name: entry for entry in tar}
    inside = "root/models/fruit/3"
    assert list(entries) == [
        *("Dockerfile", "root", "root/models", "root/models/fruit", inside),
        *(f"{inside}/saved_model.pb", f"{inside}/variables", f"{inside}/variables/index"),
    ]
    assert {(entry.mtime, entry.uid, entry.gid) for entry in entries.values()} == {(0, 0, 0)}
    assert {entry.mode for entry in entries.values() if entry.isfile()} == {0o644}
    assert {entry.mode for entry in entries.values() if entry.isdir()} == {0o755}


def test_symbolic_link_is_refused(tmp_path: Path) -> None:
    (model_in(tmp_path / "m") / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(PermanentError, match="neither a file nor a folder"):
        context(tmp_path / "m")


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    """It is refused before the engine is asked."""
    with pytest.raises(PermanentError, match="no files to serve"):
        context(tmp_path)


def test_label_values_are_quoted() -> None:
    text = dockerfile(base="base:1", model="fruit", labels={"b": 'x"\nRUN $y\\', "a": "1"})
    assert text.splitlines()[1:3] == ['LABEL a="1"', 'LABEL b="x\\" RUN \\$y\\\\"']


def test_build_steps_are_progress_and_output_is_logged() -> None:
    progress = RecordedProgress()
    said: list[Message] = [
        {"stream": "Step 1/2 : FROM base"},
        {"stream": "\n"},
        {"stream": " ---> c91937708c8d\n"},
        {"stream": "Step 2/2 : COPY root/ /"},
        {"stream": "\x1b[31mred\x1b[0m\n"},
        {"aux": {"ID": "sha256:1234"}},
    ]
    assert follow_build(said, progress=progress) == "sha256:1234"
    assert progress.reports == [(1, 2, "step 1 of 2"), (2, 2, "step 2 of 2")]
    assert progress.lines == ["Step 1/2 : FROM base", "Step 2/2 : COPY root/ /", "red"]


def test_long_build_output_is_cut() -> None:
    progress = RecordedProgress()
    said: list[Message] = [{"stream": f"line {number}"} for number in range(1000)] + [{"aux": {"ID": "sha256:1"}}]
    assert follow_build(said, progress=progress) == "sha256:1"
    assert len(progress.lines) == MOST_LOG_LINES + 1


def test_stream_without_an_image_is_a_temporary_error() -> None:
    with pytest.raises(TemporaryError, match="without an image"):
        follow_build([{"stream": "Step 1/2 : FROM base"}], progress=RecordedProgress())
    with pytest.raises(TemporaryError, match="without a digest"):
        follow_push([{"status": "Preparing"}], repository=REPOSITORY, progress=RecordedProgress())


def test_push_reports_bytes_and_returns_the_digest() -> None:
    progress = RecordedProgress()
    said: list[Message] = [
        {"status": "Preparing", "progressDetail": {}, "id": "a"},
        {"status": "Pushing", "progressDetail": {"current": 1_000_000, "total": 2_000_000}, "id": "a"},
        {"status": "Pushing", "progressDetail": {"current": 9_000_000, "total": 8_000_000}, "id": "b"},
        {"progressDetail": {}, "aux": {"Tag": "v3", "Digest": "sha256:feed", "Size": 528}},
    ]
    assert follow_push(said, repository=REPOSITORY, progress=progress) == "sha256:feed"
    assert progress.reports[0] == (1_000_000, 2_000_000, "1.0 of 2.0 MB")
    assert progress.reports[1] == (10_000_000, 10_000_000, "10.0 of 10.0 MB")


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ("unauthorized: authentication required", PermanentError, "REGISTRY_PASSWORD"),
        ("denied: Permission 'artifactregistry.repositories.uploadArtifacts' denied", PermanentError, "writer"),
        ('name unknown: Repository "models" not found', PermanentError, "repositories create"),
        ("write /var/lib/registry/x: no space left on device", PermanentError, "prune"),
        ("http: server gave HTTP response to HTTPS client", PermanentError, "insecure-registries"),
        ("received unexpected HTTP status code: 503", TemporaryError, "at the moment"),
        (
            "unexpected status from PUT request to https://x/v2/a/blobs/uploads/1: 503 Service Unavailable",
            TemporaryError,
            "at the moment",
        ),
        ("blob upload unknown to registry", TemporaryError, "at the moment"),
        ("blob upload invalid", TemporaryError, "at the moment"),
        ("write tcp 10.0.0.1:4->10.0.0.2:443: write: broken pipe", TemporaryError, "at the moment"),
        ("unexpected status from HEAD request to https://x/v2/a/blobs/1: 403 Forbidden", PermanentError, "writer"),
        ("Get https://x/v2/: dial tcp: i/o timeout", TemporaryError, "at the moment"),
        ("toomanyrequests: Quota exceeded", TemporaryError, "at the moment"),
    ],
)
def test_failed_push_says_what_to_do(words: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        follow_push([{"errorDetail": {"message": words}}], repository=REPOSITORY, progress=RecordedProgress())
    assert said in f"{caught.value} {getattr(caught.value, 'advice', '')}"
    assert words.rstrip(".") in str(caught.value)


def test_missing_base_image_is_a_permanent_error() -> None:
    words = "pull access denied for nobody/none, repository does not exist or may require 'docker login'"
    with pytest.raises(PermanentError, match="cannot pull it"):
        follow_pull([{"error": words}], image="nobody/none:1", progress=RecordedProgress())


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("tensorflow/serving:2.19.1", "docker.io"),
        ("seatrial-serving:latest", "docker.io"),
        ("127.0.0.1:5000/models/fruit:v1", "127.0.0.1:5000"),
        ("localhost/models/fruit", "localhost"),
        (REPOSITORY, "europe-docker.pkg.dev"),
    ],
)
def test_registry_is_read_from_the_reference(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("", True),
        ("unix:///run/user/1000/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2375", True),
        ("localhost:2375", True),
        ("tcp://[::1]:2375", True),
        ("tcp://10.0.0.7:2376", False),
        ("engine:2375", False),
        ("ssh://ada@localhost", False),
    ],
)
def test_engine_on_another_machine_is_recognised(address: str, here: bool) -> None:
    assert DockerEngine({"DOCKER_HOST": address}).here is here


def test_smoke_test_on_another_machine_is_refused(tmp_path: Path) -> None:
    images = DockerImages(settings=ImageSettings(repository=REPOSITORY), environ={"DOCKER_HOST": "tcp://10.0.0.7:2376"})
    model = Model(name="fruit", type="linear_reg", label="price", query="SELECT 1", sample=({"weight": 1.0},))
    with pytest.raises(PermanentError, match=r"tcp://10\.0\.0\.7:2376 is on another machine") as caught:
        images.smoke_test(model=model, folder=tmp_path, image="fruit:v1", progress=RecordedProgress())
    assert "DOCKER_HOST" in caught.value.advice


@pytest.mark.parametrize(
    ("repository", "taken"),
    [
        (REPOSITORY, True),
        ("127.0.0.1:5000/ships", True),
        ("localhost:5000", True),
        ("[::1]:5000/a.b/c__d/e--f", True),
        ("https://europe-docker.pkg.dev/ships/models", False),
        ("europe-docker.pkg.dev/ships/models/", False),
        ("europe-docker.pkg.dev/ships/models:v1", False),
        ("europe-docker.pkg.dev/Ships/models", False),
        ("", False),
    ],
)
def test_invalid_repository_stops_the_start(tmp_path: Path, repository: str, taken: bool) -> None:
    config = tmp_path / "seatrial.toml"
    config.write_text(f'[images]\nrepository = "{repository}"\n')
    settings = read_settings({"SEATRIAL_CONFIG": str(config)})
    if taken:
        assert isinstance(connect(settings).images, DockerImages)
        return
    with pytest.raises(SettingsError) as caught:
        connect(settings)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"{config}: images: repository {repository!r} is invalid; write REGISTRY/PATH")


def test_password_is_sent_to_its_registry_only() -> None:
    credentials = Credentials(registry="127.0.0.1:5000", username="ada", password="secret")
    assert credentials.for_registry("127.0.0.1:5000") == {"username": "ada", "password": "secret"}
    assert credentials.for_registry("docker.io") is None
    assert "secret" not in repr(credentials)


@contextmanager
def token_endpoint(status: int) -> Iterator[str]:
    """Yield the URL of an OAuth token endpoint: https://developers.google.com/identity/protocols/oauth2/service-account."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer: dict[str, Any] = {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}
            body = json.dumps(answer if status == 200 else {"error": "invalid_grant"}).encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            thread.join()


def service_account(folder: Path, token_uri: str) -> Path:
    """Write a service account key file."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "client_email": "w@ships.iam.gserviceaccount.com", "project_id": "ships"}
    path = folder / "key.json"
    path.write_text(json.dumps({**account, "private_key": key.decode(), "private_key_id": "1", "token_uri": token_uri}))
    return path


def test_artifact_registry_gets_an_access_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with token_endpoint(200) as address:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, address)))
        sent = Credentials(registry="europe-docker.pkg.dev").for_registry("europe-docker.pkg.dev")
    assert sent == {"username": "oauth2accesstoken", "password": "ya29.token"}


def test_unreadable_key_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    with pytest.raises(PermanentError, match="Google credentials are missing") as caught:
        Credentials(registry="europe-docker.pkg.dev").for_registry("europe-docker.pkg.dev")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.advice


def test_refused_google_credentials_say_how_to_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with token_endpoint(400) as address:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, address)))
        with pytest.raises(PermanentError, match="invalid_grant") as caught:
            Credentials(registry="europe-docker.pkg.dev").for_registry("europe-docker.pkg.dev")
    assert "gcloud auth application-default login" in caught.value.advice
