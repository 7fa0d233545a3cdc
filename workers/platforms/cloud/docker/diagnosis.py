"""Checks of the engine and the registry for `doctor`."""

from collections.abc import Iterator

from workers.contract.findings import Finding
from workers.errors import JobError
from workers.platforms.cloud.docker.credentials import Credentials, registry_of
from workers.platforms.cloud.docker.engine import ELSEWHERE, DockerEngine

WITHIN_S = 20.0
"""The deadline of each request to the engine."""


def diagnose(*, engine: DockerEngine, credentials: Credentials, serving: str) -> Iterator[Finding]:
    """Check that the engine responds, the registry accepts the credentials, and our image `serving` exists."""
    try:
        with engine.client(silent_for_s=WITHIN_S) as client:
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
        with engine.client(silent_for_s=WITHIN_S) as client:
            client.login(access["username"], access["password"], registry=registry, reauth=True)
    except JobError as error:
        return _trouble(f"registry {registry}", error, "Check REGISTRY_USERNAME and REGISTRY_PASSWORD.")
    return Finding(what=f"registry {registry} accepts {access['username']}", ok=True)


def _serving(engine: DockerEngine, serving: str) -> Finding:
    try:
        found = engine.inspect(serving, silent_for_s=WITHIN_S)
    except JobError as error:
        return _trouble(f"image {serving}", error, "")
    if found:
        return Finding(what=f"image {serving} on the engine", ok=True)
    what = f"no image {serving} on the engine, which XGBoost and ONNX models need"
    return Finding(what=what, ok=False, advice=f"Build it: docker build --target serving --tag {serving} .")


def _trouble(what: str, error: JobError, otherwise: str) -> Finding:
    advice = getattr(error, "advice", "") or otherwise
    return Finding(what=f"{what}: {str(error).rstrip('.')}", ok=False, advice=advice)
