"""Build contexts, messages of the engine, and registry credentials, without an engine."""

import functools
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.platforms.progress import RecordedProgress
from workers.contract.settings import ImageSettings, Model, SettingsError
from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.cloud.docker.context import dockerfile, write_context
from workers.platforms.cloud.docker.credentials import Credentials, registry_of
from workers.platforms.cloud.docker.engine import DockerEngine
from workers.platforms.cloud.docker.images import DockerImages
from workers.platforms.cloud.docker.stream import (
    MOST_LOG_LINES,
    Message,
    build_failure,
    follow_build,
    follow_push,
    pull_failure,
    push_failure,
)
from workers.platforms.connect import connect
from workers.settings import read_settings

REPOSITORY = "europe-docker.pkg.dev/sales/models/fruit"


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


push = functools.partial(push_failure, repository=REPOSITORY)
pull = functools.partial(pull_failure, image="nobody/none:1")
FAILURES: tuple[tuple[Callable[[str], JobError], str, str, str | None], ...] = (
    # the words of the engine or registry, ours, and the advice of a permanent error (None: it is temporary)
    (push, "toomanyrequests: Quota exceeded", "does not accept", None),
    (push, "unexpected status from PUT request to https://x/v2/a: 503 Service Unavailable", "does not accept", None),
    (push, "write /var/lib/registry/x: no space left on device", "cannot store", "prune"),
    (push, 'name unknown: Repository "models" not found', "has no", "repositories create"),
    (push, "unexpected status from HEAD request to https://x/v2/a: 403 Forbidden", "refused the push", "writer"),
    (push, "http: server gave HTTP response to HTTPS client", "cannot be pushed", "insecure-registries"),
    (push, "odd", "cannot be pushed", ""),
    (pull, "Get https://x/v2/: dial tcp: i/o timeout", "cannot be pulled at the moment", None),
    (pull, "no space left on device", "cannot be pulled", "prune"),
    (pull, "pull access denied for nobody/none, repository does not exist", "cannot pull it", "images.tensorflow"),
    (build_failure, "unexpected EOF", "was interrupted", None),
    (build_failure, "no space left on device", "cannot be built", "prune"),
    (build_failure, "returned a non-zero code: 3", "cannot be built", ""),
)


@pytest.mark.parametrize(("failure", "words", "said", "advice"), FAILURES)
def test_failure_says_what_to_do(failure: Callable[[str], JobError], words: str, said: str, advice: str | None) -> None:
    error = failure(words)
    assert said in str(error) and str(error).endswith(f": {words}.")
    if advice is None:
        assert isinstance(error, TemporaryError)
    else:
        assert isinstance(error, PermanentError)
        assert advice in error.advice and bool(advice) == bool(error.advice)


def test_registry_is_read_from_the_reference() -> None:
    assert registry_of("seatrial-serving:latest") == registry_of("tensorflow/serving:2.19.1") == "docker.io"
    for registry in ("127.0.0.1:5000", "localhost", "europe-docker.pkg.dev"):
        assert registry_of(f"{registry}/models/fruit:v1") == registry


def test_engine_on_another_machine_is_recognised() -> None:
    for address in ("", "unix:///run/docker.sock", "tcp://127.0.0.1:2375", "localhost:2375", "tcp://[::1]:2375"):
        assert DockerEngine({"DOCKER_HOST": address}).here, address
    for address in ("tcp://10.0.0.7:2376", "engine:2375", "ssh://ada@localhost"):
        assert not DockerEngine({"DOCKER_HOST": address}).here, address


def test_smoke_test_on_another_machine_is_refused(tmp_path: Path) -> None:
    images = DockerImages(settings=ImageSettings(repository=REPOSITORY), environ={"DOCKER_HOST": "tcp://10.0.0.7:2376"})
    model = Model(name="fruit", type="linear_reg", label="price", query="SELECT 1", sample=({"weight": 1.0},))
    with pytest.raises(PermanentError, match=r"tcp://10\.0\.0\.7:2376 is on another machine") as caught:
        images.smoke_test(model=model, folder=tmp_path, image="fruit:v1", spread=None, progress=RecordedProgress())
    assert "DOCKER_HOST" in caught.value.advice


def test_invalid_repository_stops_the_start(tmp_path: Path) -> None:
    config = tmp_path / "seatrial.toml"
    for repository in (REPOSITORY, "127.0.0.1:5000/sales", "localhost:5000", "[::1]:5000/a.b/c__d/e--f"):
        config.write_text(f'[images]\nrepository = "{repository}"\n')
        assert isinstance(connect(read_settings({"SEATRIAL_CONFIG": str(config)})).images, DockerImages)
    for repository in (f"https://{REPOSITORY}", f"{REPOSITORY}/", f"{REPOSITORY}:v1", REPOSITORY.upper(), ""):
        config.write_text(f'[images]\nrepository = "{repository}"\n')
        with pytest.raises(SettingsError) as caught:
            connect(read_settings({"SEATRIAL_CONFIG": str(config)}))
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

    class TokenHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer: dict[str, Any] = {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}
            body = json.dumps(answer if status == 200 else {"error": "invalid_grant"}).encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), TokenHandler) as server:
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
    account = {"type": "service_account", "client_email": "w@sales.iam.gserviceaccount.com", "project_id": "sales"}
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
