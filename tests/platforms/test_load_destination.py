"""Allowed destinations of load: never metadata servers, private addresses only if the settings allow them."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.platforms.counting_target import CountingTarget
from tests.platforms.traffic_plans import BODY
from workers.contract.load import Stage
from workers.errors import PermanentError, TargetDown
from workers.platforms.destination import find_destination
from workers.platforms.protocols import TrafficPlan
from workers.platforms.traffic_plan import LOCUST_DIR, plan_json

STAGES = (Stage(from_rps=1, to_rps=1, length_s=1),)
METADATA = [
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "2852039166",  # 169.254.169.254 as one number
    "0xa9.0xfe.0xa9.0xfe",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "100.100.100.200",
]
PRIVATE = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "10.1.2.3",
    "192.168.0.1",
    "172.16.0.1",
    "169.254.1.1",
    "0.0.0.0",
    "127.1",
]


def plan(url: str, *, private: bool) -> TrafficPlan:
    return TrafficPlan(url=url, body=BODY, stages=STAGES, private=private, job_id="1")


@contextmanager
def listening() -> Iterator[str]:
    """Yield the address of a listener that must not get a connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("host", METADATA)
def test_metadata_server_is_never_loaded(host: str, private: bool) -> None:
    with pytest.raises(PermanentError, match="may not be loaded") as caught:
        find_destination(plan(f"http://{host}/computeMetadata/v1/", private=private), timeout_s=0.2)
    assert "no setting allows it" in caught.value.advice


@pytest.mark.parametrize("host", PRIVATE)
def test_private_address_is_refused_unless_allowed(host: str) -> None:
    """The refusal is no failure of the target, so the test does not FAIL."""
    with pytest.raises(PermanentError, match="may not be loaded") as caught:
        find_destination(plan(f"http://{host}:9/", private=False), timeout_s=0.2)
    assert not isinstance(caught.value, TargetDown)


def test_target_with_an_unknown_name_is_down() -> None:
    with pytest.raises(TargetDown, match="cannot be resolved"):
        find_destination(plan("http://nowhere.invalid/", private=True), timeout_s=0.2)


def test_only_addresses_of_the_accepting_family_are_loaded(
    target: CountingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes directly to the target, not through a proxy of the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = f"http://localhost:{target.port}/v1/models/iris:predict"
    addresses, answer = find_destination(plan(url, private=True), timeout_s=30)
    assert addresses == ("127.0.0.1",)
    assert b"predictions" in answer


def test_target_that_predicts_nan_is_down(target: CountingTarget) -> None:
    target.behave("undefined")
    with pytest.raises(TargetDown, match="predicts NaN; no load was sent"):
        find_destination(plan(target.url, private=True), timeout_s=30)


def locust_output(tmp_path: Path, text: str) -> str:
    """Return the output of Locust, which must refuse this plan."""
    file = tmp_path / "plan.json"
    file.write_text(text)
    command = [sys.executable, "-m", "locust", "-f", str(LOCUST_DIR / "locustfile.py"), "--plan", str(file)]
    command += ["--headless", "--host", "http://target"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "changed", [{"private": False}, {"refused": ["127.0.0.1"]}, {"addresses": [], "private": False}]
)
def test_load_process_checks_the_addresses_again(tmp_path: Path, changed: dict) -> None:
    with listening() as address:
        requested = plan(f"http://{address}/", private=True)
        text = json.dumps(json.loads(plan_json(requested, workers=1, timeout_s=1, addresses=["127.0.0.1"])) | changed)
        assert "may not be loaded" in locust_output(tmp_path, text)
