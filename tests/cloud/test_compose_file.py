"""The file docker-compose.yml: accepted by compose, with consistent references."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).parents[2]


def _compose() -> list[str]:
    """Return the command of compose: Docker's plugin, or the separate program as in Debian."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and not subprocess.run([*words, "version"], capture_output=True).returncode:
            return words
    assert not os.environ.get("CI"), "CI installs docker-compose"
    pytest.skip("needs docker compose")


@pytest.mark.parametrize("profiles", [[], ["local"], ["images"], ["local", "images"]])
def test_compose_accepts_its_file(profiles: list[str]) -> None:
    """With each profile."""
    options = [word for profile in profiles for word in ("--profile", profile)]
    run = subprocess.run(
        [*_compose(), "--file", TOP / "docker-compose.yml", *options, "config", "--quiet"],
        capture_output=True,
        text=True,
        env=os.environ | {"SLACK_BOT_TOKEN": "xoxb-local"},
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_compose_file_defines_what_it_references() -> None:
    """Volumes, profiles and networks."""
    file = yaml.safe_load((TOP / "docker-compose.yml").read_text(encoding="utf-8"))
    services = file["services"]
    assert {name for name, service in services.items() if "profiles" not in service} == {"redis", "bot", "worker"}
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in file["volumes"] or (TOP / source).is_file()
        network = service.get("network_mode", "service:redis").removeprefix("service:")
        assert network in services
