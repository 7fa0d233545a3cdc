"""What is sent to the engine, what it says back, and who Seatrial is to a registry: without an engine."""

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
    """The tar of version 3 of a model in `folder`."""
    written = io.BytesIO()
    write_context(written, dockerfile="FROM base\n", folder=folder, model="fruit", version=3)
    return written.getvalue()


def model_in(folder: Path) -> Path:
    """A model of two files."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "index").write_bytes(b"index")
    return folder


def test_the_same_files_make_the_same_context(tmp_path: Path) -> None:
    """Whoever wrote the files, when, in which order and with which rights."""
    one, other = model_in(tmp_path / "one"), tmp_path / "other"
    (other / "variables").mkdir(parents=True)
    (other / "variables" / "index").write_bytes(b"index")
    (other / "saved_model.pb").write_bytes(b"graph")
    (other / "saved_model.pb").chmod(0o600)
    os.utime(other / "variables", (1, 1))
    assert context(one) == context(other)


def test_the_context_is_laid_out_for_tensorflow_serving(tmp_path: Path) -> None:
    """/models/MODEL/VERSION, every folder an entry of its own, readable by everyone, dated 1970, owned by root."""
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


def test_nothing_outside_the_folder_gets_into_the_context(tmp_path: Path) -> None:
    """A link is refused, wherever it leads."""
    (model_in(tmp_path / "m") / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(PermanentError, match="neither a file nor a folder"):
        context(tmp_path / "m")


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    """It is refused before the engine is asked."""
    with pytest.raises(PermanentError, match="no files to serve"):
        context(tmp_path)


def test_labels_cannot_say_more_than_their_value() -> None:
    """Quotes, dollars, backslashes and line breaks stay in the label."""
    text = dockerfile(base="base:1", model="fruit", labels={"b": 'x"\nRUN $y\\', "a": "1"})
    assert text.splitlines()[1:3] == ['LABEL a="1"', 'LABEL b="x\\" RUN \\$y\\\\"']


def test_a_builds_steps_are_progress_and_its_words_are_detail() -> None:
    """The bookkeeping between steps is left out; a colour is, too."""
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


def test_a_build_that_never_stops_talking_is_cut_short() -> None:
    """The detail is bounded, the outcome is still seen."""
    progress = RecordedProgress()
    said: list[Message] = [{"stream": f"line {number}"} for number in range(1000)] + [{"aux": {"ID": "sha256:1"}}]
    assert follow_build(said, progress=progress) == "sha256:1"
    assert len(progress.lines) == MOST_LOG_LINES + 1


def test_a_stream_that_ends_too_early_may_be_tried_again() -> None:
    """Neither an image nor an error: the engine went away."""
    with pytest.raises(TemporaryError, match="without an image"):
        follow_build([{"stream": "Step 1/2 : FROM base"}], progress=RecordedProgress())
    with pytest.raises(TemporaryError, match="without a digest"):
        follow_push([{"status": "Preparing"}], repository=REPOSITORY, progress=RecordedProgress())


def test_a_push_is_progress_in_bytes_and_ends_with_the_digest() -> None:
    """Layers are added up."""
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
def test_a_failed_push_says_what_to_do(words: str, kind: type[Exception], said: str) -> None:
    """What would fail again says what to change; what passes is tried again."""
    with pytest.raises(kind) as caught:
        follow_push([{"errorDetail": {"message": words}}], repository=REPOSITORY, progress=RecordedProgress())
    assert said in f"{caught.value} {getattr(caught.value, 'advice', '')}"
    assert words.rstrip(".") in str(caught.value)


def test_a_base_that_nobody_has_is_not_waited_for() -> None:
    """Docker Hub's answer to a name that does not exist."""
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
def test_the_registry_is_read_from_the_reference(reference: str, registry: str) -> None:
    """As the engine itself reads it."""
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
def test_an_engine_on_another_machine_is_known_by_its_address(address: str, here: bool) -> None:
    """The container of a trial would be published on that machine's loopback, and never answer here."""
    assert DockerEngine({"DOCKER_HOST": address}).here is here


def test_nothing_is_tried_on_another_machine(tmp_path: Path) -> None:
    """It is told at once, with what to set, and not after a minute's silence."""
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
def test_a_repository_that_no_engine_takes_stops_the_start(tmp_path: Path, repository: str, taken: bool) -> None:
    """With a sentence about the setting, and not a job after it has paid for a training."""
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


def test_a_password_goes_to_its_own_registry_only() -> None:
    """Bases from elsewhere are pulled without it; it is not in what a log would show."""
    credentials = Credentials(registry="127.0.0.1:5000", username="ada", password="secret")
    assert credentials.for_registry("127.0.0.1:5000") == {"username": "ada", "password": "secret"}
    assert credentials.for_registry("docker.io") is None
    assert "secret" not in repr(credentials)


@contextmanager
def token_endpoint(status: int) -> Iterator[str]:
    """The address of an OAuth token endpoint: https://developers.google.com/identity/protocols/oauth2/service-account."""

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
    """A key file as Google hands it out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "client_email": "w@ships.iam.gserviceaccount.com", "project_id": "ships"}
    path = folder / "key.json"
    path.write_text(json.dumps({**account, "private_key": key.decode(), "private_key_id": "1", "token_uri": token_uri}))
    return path


def test_artifact_registry_is_sent_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Application Default Credentials, where no user is set."""
    with token_endpoint(200) as address:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, address)))
        sent = Credentials(registry="europe-docker.pkg.dev").for_registry("europe-docker.pkg.dev")
    assert sent == {"username": "oauth2accesstoken", "password": "ya29.token"}


def test_a_key_file_that_cannot_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that was mounted as a folder, or for root alone, is no fault of Seatrial's own."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    with pytest.raises(PermanentError, match="Google credentials are missing") as caught:
        Credentials(registry="europe-docker.pkg.dev").for_registry("europe-docker.pkg.dev")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.advice


def test_credentials_that_google_does_not_take_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is permanent, and says how to log in."""
    with token_endpoint(400) as address:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, address)))
        with pytest.raises(PermanentError, match="invalid_grant") as caught:
            Credentials(registry="europe-docker.pkg.dev").for_registry("europe-docker.pkg.dev")
    assert "gcloud auth application-default login" in caught.value.advice
