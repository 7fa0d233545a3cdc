"""Smoke test of a model's image in a confined container, which is reached on loopback and always removed."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from secrets import token_hex
from typing import Any

import docker.errors
import docker.types

from workers.errors import PermanentError
from workers.platforms.cloud.docker.engine import DockerEngine
from workers.platforms.cloud.docker.stream import plain
from workers.platforms.probe import examine_version
from workers.platforms.protocols import Model, Progress, Tested
from workers.platforms.smoke_test import SmokeTestFailed, expected_signature

REST_PORT = 8501
"""TensorFlow Serving's REST port; https://www.tensorflow.org/tfx/serving/docker"""

READY_WITHIN_S = 60.0
"""The longest loading time of the model. TensorFlow Serving retries the same files after a minute, which would not help
(--load_retry_interval_micros, https://github.com/tensorflow/serving, model_servers/main.cc)."""

MEMORY_BYTES = 2 * 1024**3
"""The memory limit of the container: TensorFlow Serving needs a third of a GB beside the model."""

MOST_PROCESSES = 512
LABEL = "seatrial.smoke-test"
"""The label of containers and networks of smoke tests, also of earlier attempts. Its value is the tested image."""

_OLD_AFTER_S = 900.0
_LOG_LINES_SHOWN = 20
_LOG_CHARACTERS_SHOWN = 2000
_POLL_S = 0.2


def smoke_test_image(
    engine: DockerEngine, *, image: str, model: Model, version: int, spread: float | None, progress: Progress
) -> Tested:
    """Run `image`, wait until `version` of `model` is served, send the sample, and probe it; see Images.

    Raises PermanentError with the container's last lines if a response is wrong.
    """
    name, labels = f"seatrial-smoke-test-{model.name}-v{version}-{token_hex(3)}", {LABEL: image}
    with engine.client() as client:
        _sweep(client, image)
        with _network(client, name, labels) as network, _container(client, name, image, network, labels) as container:
            try:
                address = _wait_until_ready(client, container, model, progress)
                signature = expected_signature(model)
                return examine_version(model, signature, address, version=version, spread=spread)
            except SmokeTestFailed as error:
                raise PermanentError(f"{error}{_last_lines(client, container)}") from error


@contextlib.contextmanager
def _network(client: Any, name: str, labels: Mapping[str, str]) -> Iterator[str]:
    """Create a network in which containers reach neither each other nor the internet, with published ports.

    Without masquerading, responses from outside do not return. An "internal" network would not publish ports.
    https://docs.docker.com/engine/network/drivers/bridge/#options
    """
    bridge = "com.docker.network.bridge"
    options = {f"{bridge}.enable_ip_masquerade": "false", f"{bridge}.enable_icc": "false"}
    network = client.create_network(name, driver="bridge", options=options, labels=labels)
    try:
        yield str(network["Id"])
    finally:
        _remove(client.remove_network, network["Id"])


@contextlib.contextmanager
def _container(client: Any, name: str, image: str, network: str, labels: Mapping[str, str]) -> Iterator[str]:
    confined = client.create_host_config(
        network_mode=network,
        port_bindings={REST_PORT: ("127.0.0.1", None)},
        read_only=True,
        tmpfs={"/tmp": "size=64m"},
        mem_limit=MEMORY_BYTES,
        memswap_limit=MEMORY_BYTES,
        pids_limit=MOST_PROCESSES,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
    )
    created = client.create_container(
        image, name=name, labels=labels, ports=[REST_PORT], host_config=confined, user="10001:10001"
    )
    try:
        client.start(created)
        yield str(created["Id"])
    finally:
        _remove(client.remove_container, created["Id"], force=True, v=True)


def _remove(remove: Callable[..., Any], identity: str, **options: bool) -> None:
    """Call `remove`, and ignore that the object is removed (404) or being removed (409)."""
    try:
        remove(identity, **options)
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise


def _sweep(client: Any, image: str) -> None:
    """Remove the remains of killed workers: earlier tests of the image, and objects older than any test."""
    old = time.time() - _OLD_AFTER_S
    for found in client.containers(all=True, filters={"label": LABEL}):
        if found["Labels"][LABEL] == image or found["Created"] < old:
            _remove(client.remove_container, found["Id"], force=True, v=True)
    for found in client.networks(filters={"label": f"{LABEL}={image}"}):
        _remove(client.remove_network, found["Id"])
    client.prune_networks(filters={"label": LABEL, "until": f"{_OLD_AFTER_S:.0f}s"})


def _wait_until_ready(client: Any, container: str, model: Model, progress: Progress) -> str:
    """Return the base URL once the model's metadata is served. Its state has the status 200 also during loading."""
    gives_up_at_s = time.monotonic() + READY_WITHIN_S
    while True:
        found = client.inspect_container(container)
        if not found["State"]["Running"]:
            raise SmokeTestFailed(f"The model cannot be served: {_end_of(found['State'])}.")
        bindings = found["NetworkSettings"]["Ports"].get(f"{REST_PORT}/tcp") or [{}]
        if (port := bindings[0].get("HostPort")) and _responds(int(port), f"/v1/models/{model.name}/metadata"):
            return f"http://127.0.0.1:{port}"
        if time.monotonic() > gives_up_at_s:
            raise SmokeTestFailed(f"The model was not ready within {READY_WITHIN_S:g} s.")
        progress.wait(_POLL_S)


def _end_of(state: Mapping[str, Any]) -> str:
    if state.get("OOMKilled"):
        return f"its container needs more than {MEMORY_BYTES / 1024**3:g} GB of memory"
    return f"its container ended with {state.get('ExitCode')} {state.get('Error', '')}".rstrip()


def _responds(port: int, path: str) -> bool:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=2.0)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False


def _last_lines(client: Any, container: str) -> str:
    log = plain(client.logs(container, tail=_LOG_LINES_SHOWN).decode(errors="replace"))
    lines = " ".join(line.strip() for line in log.splitlines() if line.strip())
    return f" Its log: {lines[-_LOG_CHARACTERS_SHOWN:]}" if lines else ""
