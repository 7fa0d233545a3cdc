"""A real engine, a real registry with a password, and base images with the interface of tensorflow/serving.

Each base image is built FROM scratch with busybox. Its shell answers with the model's files: a model is a folder with
saved_model.pb, and with answer.json, which is the response to a prediction.
"""

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import docker
import docker.errors
import docker.utils
import pytest

from bot.demo.processes import free_port
from workers.contract.settings import ImageSettings, Model
from workers.platforms.cloud.docker import smoke_test
from workers.platforms.protocols import Manifest

# Never empty: of an empty environment the SDK reads the process's own.
ENVIRON = {"DOCKER_HOST": "", **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}}
USERNAME, PASSWORD = "sailor", "hornblower"
NEEDED = "apt-get install docker.io docker-registry busybox-static apache2-utils, then start dockerd"

LABEL = "seatrial-test.docker_environment"
"""Of the bases, and so of all that is made of them; its value is the registry's address."""

MODEL = Model(name="fruit", type="logistic_reg", label="fruit", query="SELECT 1", sample=({"size": 2.0},))
PEAR = {"predicted_fruit": ["pear"], "fruit_values": ["apple", "pear"], "fruit_probs": [0.1, 0.9]}

_DOCKERFILE = """\
FROM scratch
COPY root/ /
ENV MODEL_BASE_PATH=/models MODEL_NAME=model
EXPOSE 8500 8501
ENTRYPOINT ["/bin/sh", "/serve.sh"]
"""

_BASES = {
    "serving": "",
    "serving-slow": "ONBUILD RUN echo a very slow build; sleep 60\n",
    "serving-broken": "ONBUILD RUN echo on fire; exit 3\n",
}

_SERVE = """\
folder=$MODEL_BASE_PATH/$MODEL_NAME
version=$(ls $folder)
echo "Reading SavedModel from: $folder/$version"
if [ ! -s $folder/$version/saved_model.pb ]; then
  echo "Loading servable: {name: $MODEL_NAME version: $version} failed"; exit 1
fi
[ -e $folder/$version/never_ready ] && exec sleep 1000
export folder version
exec nc -ll -p 8501 -e /bin/sh /answer.sh
"""

_ANSWER = """\
read -r method path protocol
while read -r name value && [ "$name" != "$(printf '\\r')" ]; do
  case $name in [Cc]ontent-[Ll]ength:) length=${value%?};; esac
done
status='404 Not Found' body='{"error": "Not Found"}'
case "$method $path" in
  "GET /v1/models/$MODEL_NAME/metadata") status='200 OK' body='{}';;
  "POST /v1/models/$MODEL_NAME/versions/$version:predict")
    head -c $length >/dev/null; status='200 OK' body=$(cat $folder/$version/answer.json);;
esac
printf 'HTTP/1.1 %s\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s' "$status" ${#body} "$body"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry with one user."""

    address: str

    def digest(self, model: str, tag: str) -> str | None:
        """Return the digest that the registry reports for a tag, or None."""
        request = urllib.request.Request(f"http://{self.address}/v2/sales/{model}/manifests/{tag}", method="HEAD")
        request.add_header("Authorization", "Basic " + b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode())
        request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return str(response.headers["Docker-Content-Digest"])
        except urllib.error.HTTPError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerEnvironment:
    """The engine, the registry and the settings for a test of images. `engine` is the SDK's client."""

    engine: Any
    registry: Registry
    settings: ImageSettings

    def base(self, kind: str) -> str:
        """Return the name of a base image: "serving", "serving-slow" or "serving-broken"."""
        return f"seatrial-test-{self.registry.address.rpartition(':')[2]}/{kind}:1"

    def remains(self) -> set[str]:
        """Return the containers, dangling images and networks of smoke tests."""
        mine = f"{LABEL}={self.registry.address}"
        networks = self.engine.networks(filters={"label": smoke_test.LABEL})
        return {
            *(str(item["Names"]) for item in self.engine.containers(all=True, filters={"label": mine})),
            *(str(item["Id"]) for item in self.engine.images(filters={"dangling": True, "label": mine})),
            *(item["Name"] for item in networks if self.registry.address in item["Labels"][smoke_test.LABEL]),
        }

    def forget(self, reference: str) -> None:
        """Remove an image and its build cache from the engine."""
        with suppress(docker.errors.ImageNotFound):
            self.engine.remove_image(reference, force=True)


@contextmanager
def open_docker_environment(folder: Path) -> Iterator[DockerEnvironment]:
    """Open the engine of this machine with the base images, and a registry that stores its blobs in `folder`."""
    engine = _engine()
    for program in ("docker-registry", "htpasswd", "busybox"):
        if not shutil.which(program):
            _do_without(f"there is no {program}: {NEEDED}")
    process, address = _start_registry(folder)
    settings = ImageSettings(repository=f"{address}/sales", seatrial="absent:1")
    docker_environment = DockerEnvironment(engine=engine, registry=Registry(address=address), settings=settings)
    try:
        for kind, more in _BASES.items():
            _build_base(engine, docker_environment.base(kind), f"LABEL {LABEL}={address}\n{more}")
        yield replace(
            docker_environment, settings=settings.model_copy(update={"tensorflow": docker_environment.base("serving")})
        )
    finally:
        process.kill()
        process.wait()
        mine = {"label": f"{LABEL}={address}"}
        for name in [name for image in engine.images(filters=mine) for name in image["RepoTags"] or ()]:
            with suppress(docker.errors.APIError):  # "<none>:<none>" is not a name. Such an image is removed below.
                engine.remove_image(name, force=True)
        engine.prune_images(filters=mine | {"dangling": True})
        engine.close()


def servable(folder: Path, *, answer: object = PEAR, files: Mapping[str, bytes] | None = None) -> Path:
    """Write a model that a base image serves. `answer` is its prediction for one instance."""
    folder.mkdir(parents=True)
    (folder / "answer.json").write_text(json.dumps({"predictions": [answer]}))
    for name, content in {"saved_model.pb": b"weights", "variables/variables.index": b"index", **(files or {})}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def manifest(*, version: int, **changes: Any) -> Manifest:
    """Return the manifest of a version of MODEL."""
    return Manifest(
        **{
            "model": MODEL.name,
            "version": version,
            "digest": "sha256:" + "ab" * 32,
            "format": "saved_model",
            "size_bytes": 12,
            "metrics": {"accuracy": 1.0},
            "query_sha256": "cd" * 32,
            "training": "bqjob_1",
            "trained_by": "Ada",
            "job_id": "m-7f3a",
            "created_at_s": time.time(),
            **changes,
        }
    )


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _engine() -> Any:
    try:
        return docker.APIClient(version="auto", timeout=60, **docker.utils.kwargs_from_env(ENVIRON))
    except docker.errors.DockerException as error:
        _do_without(f"no Docker engine answers ({error}): {NEEDED}")


def _start_registry(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    written = subprocess.run(["htpasswd", "-Bbn", USERNAME, PASSWORD], check=True, capture_output=True)
    (folder / "htpasswd").write_bytes(written.stdout)
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "docker_environment", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    gives_up_at_s = time.monotonic() + 60
    while not _listens(address):
        assert process.poll() is None, (folder / "registry.log").read_text()
        assert time.monotonic() < gives_up_at_s, "the registry did not start"
        time.sleep(0.05)
    return process, address


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def _build_base(engine: Any, name: str, more: str) -> None:
    files = {
        "Dockerfile": (_DOCKERFILE + more).encode(),
        "root/bin/busybox": Path(str(shutil.which("busybox"))).read_bytes(),
        "root/serve.sh": _SERVE.encode(),
        "root/answer.sh": _ANSWER.encode(),
        "root/tmp/.keep": b"",
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
        for command in ("sh", "ls", "cat", "nc", "head", "sleep", "printf"):
            entry = tarfile.TarInfo(f"root/bin/{command}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    context.seek(0)
    said = list(engine.build(fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True, decode=True))
    assert not any("error" in message for message in said), said
