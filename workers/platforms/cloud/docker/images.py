"""Images adapter for Docker: builds a version onto tensorflow/serving or our serving image, tests and pushes it."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import docker.errors
import docker.utils

from workers.contract.settings import ImageSettings
from workers.errors import JobError, PermanentError
from workers.platforms.cloud.docker import stream
from workers.platforms.cloud.docker.context import dockerfile, write_context
from workers.platforms.cloud.docker.credentials import Credentials, registry_of
from workers.platforms.cloud.docker.engine import ELSEWHERE, DockerEngine
from workers.platforms.cloud.docker.smoke_test import smoke_test_image
from workers.platforms.protocols import Finding, Manifest, Model, Progress, Tested

KEPT_VERSIONS = 3
"""Images of a model that stay on the engine after a push, the newest first. The registry has all of them."""

DIAGNOSIS_S = 20.0
"""The deadline of each request to the engine."""
_PIECE_BYTES = 1024**2
# https://pkg.go.dev/github.com/distribution/reference has the grammar.
_REPOSITORY = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)*")


class DockerImages:
    """Implements Images with a Docker engine and a registry.

    The same input gives the same context and labels (model, version, digest, format, job, base), without a time. The
    engine writes the time of the build into the image. An image with the same labels is therefore not built again. It
    is taken from the engine, or from the registry if another worker built it.
    """

    def __init__(
        self, *, settings: ImageSettings, environ: Mapping[str, str], username: str = "", password: str = ""
    ) -> None:
        """Take the engine's variables from `environ` (see DockerEngine), and the registry's user and password.

        Raises ValueError, with one sentence, for an invalid repository.
        """
        if not _REPOSITORY.fullmatch(settings.repository):
            raise ValueError(
                f"repository {settings.repository!r} is invalid; write REGISTRY/PATH in lower case, without a scheme,"
                " a tag or a / at its end."
            )
        self._settings = settings
        self._engine = DockerEngine(environ)
        self._credentials = Credentials(registry=registry_of(settings.repository), username=username, password=password)

    def build(self, *, model: Model, manifest: Manifest, folder: Path, progress: Progress) -> str | None:
        """Build REPOSITORY/MODEL:vN; see Images. Removes the remains of an interrupted build."""
        reference = f"{self._settings.repository}/{manifest.model}:v{manifest.version}"
        base = self._base(manifest.format)
        labels = self._labels(manifest, base, self._base_digest(base, progress))
        if self._exists(reference, labels, progress):
            progress.log(f"{reference} was built from the same files before.")
            return reference
        text = dockerfile(base=base, model=manifest.model, labels=labels)
        with tempfile.TemporaryFile() as context:
            write_context(context, dockerfile=text, folder=folder, model=manifest.model, version=manifest.version)
            try:
                self._build(reference, context, progress)
            except JobError:
                self._remove_unfinished(manifest)
                raise
        return reference

    def smoke_test(
        self, *, model: Model, folder: Path, image: str | None, spread: float | None, progress: Progress
    ) -> Tested:
        """Serve the image's version alone on a loopback port and test it; see Images."""
        if image is None:
            raise PermanentError("There is no image to test.", advice="Train a new version.")
        if not self._engine.here:
            raise PermanentError(f"The engine at {self._engine.address} is on another machine.", advice=ELSEWHERE)
        labels = self._engine.inspect(image).get("Config", {}).get("Labels") or {}
        if "seatrial.version" not in labels:
            raise PermanentError(f"{image} was removed from the engine.", advice="Train a new version.")
        version = int(labels["seatrial.version"])
        return smoke_test_image(
            self._engine, image=image, model=model, version=version, spread=spread, progress=progress
        )

    def publish(self, *, image: str | None, progress: Progress) -> str | None:
        """Push and return REPOSITORY/MODEL@sha256:…; see Images. A second push has no effect."""
        if image is None:
            return None
        repository, _, tag = image.rpartition(":")
        access = self._credentials.for_registry(registry_of(repository))
        with self._engine.stream(
            lambda client: client.push(repository, tag=tag, stream=True, decode=True, auth_config=access),
            failure=lambda words: stream.push_failure(words, repository=repository),
            progress=progress,
        ) as messages:
            digest = stream.follow_push(messages, repository=repository, progress=progress)
        self._remove_old(repository)
        return f"{repository}@{digest}"

    def diagnose(self) -> Iterator[Finding]:
        """Check the engine, the credentials for the registry, and our serving image."""
        return _diagnose(engine=self._engine, credentials=self._credentials, serving=self._settings.seatrial)

    def _build(self, reference: str, context: IO[bytes], progress: Progress) -> None:
        options = {"custom_context": True, "tag": reference, "rm": True, "forcerm": True, "decode": True}
        with self._engine.stream(
            lambda client: client.build(fileobj=_upload(context, progress), **options),
            failure=stream.build_failure,
            progress=progress,
        ) as messages:
            progress.log(f"{reference} is {stream.follow_build(messages, progress=progress)}")

    def _base(self, format_: str) -> str:
        """Return the image that serves versions of that format."""
        match format_:
            case "saved_model":
                return self._settings.tensorflow
            case "onnx" | "xgboost_booster":
                return self._settings.seatrial
        raise PermanentError(f"No image serves a model exported as {format_!r}.")

    def _base_digest(self, base: str, progress: Progress) -> str:
        """Return the base's digest, or its id if it was built on this engine. Pulls the base if it is missing."""
        found = self._engine.inspect(base)
        if not found:
            self._pull(base, progress)
            found = self._engine.inspect(base)
        return min((str(item).partition("@")[2] for item in found.get("RepoDigests") or ()), default=str(found["Id"]))

    def _pull(self, reference: str, progress: Progress) -> None:
        access = self._credentials.for_registry(registry_of(reference))
        repository, tag = docker.utils.parse_repository_tag(reference)
        with self._engine.stream(
            lambda client: client.pull(repository, tag=tag or "latest", stream=True, decode=True, auth_config=access),
            failure=lambda words: stream.pull_failure(words, image=reference),
            progress=progress,
        ) as messages:
            stream.follow_layers(messages, verb="Downloading", progress=progress)

    def _exists(self, reference: str, labels: Mapping[str, str], progress: Progress) -> bool:
        """Return True if the engine or the registry has an image with the same labels. Pulls it from the registry."""
        found = self._engine.inspect(reference)
        if not found:
            with contextlib.suppress(PermanentError):  # it does not exist, or the push will report the missing right
                self._pull(reference, progress)
                found = self._engine.inspect(reference)
        has = found.get("Config", {}).get("Labels") or {}
        return bool(found) and labels.items() <= has.items()

    def _labels(self, manifest: Manifest, base: str, base_digest: str) -> Mapping[str, str]:
        """Return https://github.com/opencontainers/image-spec/blob/main/annotations.md and our own labels."""
        return {
            "org.opencontainers.image.title": manifest.model,
            "org.opencontainers.image.version": f"v{manifest.version}",
            "org.opencontainers.image.base.name": base,
            "org.opencontainers.image.base.digest": base_digest,
            "seatrial.model": manifest.model,
            "seatrial.version": str(manifest.version),
            "seatrial.digest": manifest.digest,
            "seatrial.format": manifest.format,
            "seatrial.job": manifest.job_id,
        }

    def _remove_unfinished(self, manifest: Manifest) -> None:
        """Remove the dangling images of an interrupted build. Errors are ignored in favour of the first one."""
        labels = [f"seatrial.model={manifest.model}", f"seatrial.job={manifest.job_id}"]
        with contextlib.suppress(JobError), self._engine.client() as client:
            client.prune_images(filters={"dangling": True, "label": labels})

    def _remove_old(self, repository: str) -> None:
        """Remove all but the newest images of a model from the engine. The next push retries failed removals."""
        with contextlib.suppress(JobError), self._engine.client() as client:
            found = client.images(name=repository, filters={"label": "seatrial.version"})
            newest_first = sorted(found, key=lambda image: int(image["Labels"]["seatrial.version"]), reverse=True)
            for image in newest_first[KEPT_VERSIONS:]:
                for name in image.get("RepoTags") or ():
                    with contextlib.suppress(docker.errors.APIError):
                        client.remove_image(name)


def _upload(context: IO[bytes], progress: Progress) -> Iterator[bytes]:
    """Yield the context in pieces, report the progress, and allow an interruption between pieces."""
    whole_bytes = context.seek(0, os.SEEK_END)
    context.seek(0)
    while piece := context.read(_PIECE_BYTES):
        progress.report(context.tell(), whole_bytes, fact=f"{context.tell() / 1e6:.0f} MB to the engine")
        yield piece


def _diagnose(*, engine: DockerEngine, credentials: Credentials, serving: str) -> Iterator[Finding]:
    """Check that the engine responds, the registry accepts the credentials, and our image `serving` exists."""
    try:
        with engine.client(silent_for_s=DIAGNOSIS_S) as client:
            version = client.version()["Version"]
    except JobError as error:
        yield _trouble("Docker engine", error, f"Check that dockerd runs: docker --host {engine.address} info")
        return
    what = f"Docker engine {version} at {engine.address}{'' if engine.here else ', which is on another machine'}"
    yield Finding(what=what, ok=engine.here, advice=ELSEWHERE)
    yield _login(engine, credentials)
    # An image with a registry in its name is pulled when it is first needed.
    if registry_of(serving) == "docker.io":
        yield _serving(engine, serving)


def _login(engine: DockerEngine, credentials: Credentials) -> Finding:
    registry = credentials.registry
    try:
        access = credentials.for_registry(registry)
        if access is None:
            return Finding(what=f"registry {registry}: uses the credentials of docker login", ok=True)
        with engine.client(silent_for_s=DIAGNOSIS_S) as client:
            client.login(access["username"], access["password"], registry=registry, reauth=True)
    except JobError as error:
        return _trouble(f"registry {registry}", error, "Check REGISTRY_USERNAME and REGISTRY_PASSWORD.")
    return Finding(what=f"registry {registry} accepts {access['username']}", ok=True)


def _serving(engine: DockerEngine, serving: str) -> Finding:
    try:
        found = engine.inspect(serving, silent_for_s=DIAGNOSIS_S)
    except JobError as error:
        return _trouble(f"image {serving}", error, "")
    if found:
        return Finding(what=f"image {serving} on the engine", ok=True)
    what = f"no image {serving} on the engine, which XGBoost and ONNX models need"
    return Finding(what=what, ok=False, advice=f"Build it: docker build --target serving --tag {serving} .")


def _trouble(what: str, error: JobError, otherwise: str) -> Finding:
    advice = getattr(error, "advice", "") or otherwise
    return Finding(what=f"{what}: {str(error).rstrip('.')}", ok=False, advice=advice)
