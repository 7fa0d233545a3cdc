"""What must agree: jobs, handlers, outcomes, commands, the manifest, the manual, and the pictures of them."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bot.commands import COMMANDS
from bot.manifest import manifest
from workers.contract.jobs import KINDS
from workers.contract.settings import (
    Approvals,
    Environment,
    ImageSettings,
    LoadTarget,
    LoadTestDefaults,
    Model,
    SettingsFile,
)
from workers.contract.settings_reader import read_settings_file
from workers.jobs import HANDLERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCOPES = {"commands", "chat:write", "files:write", "users:read", "usergroups:read", "app_mentions:read"}


def test_every_kind_of_job_has_a_handler_and_golden_cards() -> None:
    """A job that nobody works or nobody has looked at is not done."""
    assert set(HANDLERS) == set(KINDS)
    golden = {path.stem.split("-")[0] for path in (ROOT / "tests/views/golden").glob("*.json")}
    assert golden == set(KINDS)


def test_the_readmes_table_is_the_table_of_commands() -> None:
    """Every form of every command, in order, word for word; and nothing else."""
    rows = [
        f"| `{form.usage.replace('|', chr(92) + '|')}` | {form.does.replace('|', chr(92) + '|')} |"
        for command in COMMANDS.values()
        for form in command.forms
    ]
    assert "| Command | What it does |\n|---|---|\n" + "\n".join(rows) + "\n\n" in README


@pytest.mark.parametrize("request_url", [None, "https://example.com/slack/events"])
def test_the_manifest_is_within_slacks_limits_and_has_every_command(request_url: str | None) -> None:
    """Names of up to 32 characters, hints of up to 1,000, just the scopes that are used, no url under Socket Mode."""
    made = manifest(request_url=request_url)
    commands = made["features"]["slash_commands"]
    assert [command["command"] for command in commands] == list(COMMANDS)
    assert all(len(command["command"]) <= 32 and 0 < len(command["usage_hint"]) <= 1000 for command in commands)
    assert all(("url" in command) == (request_url is not None) for command in commands)
    assert set(made["oauth_config"]["scopes"]["bot"]) == SCOPES
    assert made["settings"]["socket_mode_enabled"] == (request_url is None)
    assert len(made["display_information"]["name"]) <= 35


def test_the_command_line_prints_the_manifest() -> None:
    """`seatrial manifest URL` is JSON for Slack, and nothing but."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", "manifest", "https://example.com/slack/events"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == manifest(request_url="https://example.com/slack/events")


def test_an_unknown_word_on_the_command_line_gets_the_usage() -> None:
    """Exit 2, and what there is."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", "bto"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "seatrial worker" in done.stderr


def test_the_settings_file_that_we_ship_is_right_and_shows_every_key() -> None:
    """It reads without a mistake, and each key of each table stands in it, if only behind a #."""
    file = read_settings_file(ROOT / "seatrial.toml")
    text = (ROOT / "seatrial.toml").read_text(encoding="utf-8")
    assert set(file.environments) == {"staging", "production"}
    for table in (SettingsFile, Model, Environment, Approvals, LoadTarget, LoadTestDefaults, ImageSettings):
        for name, field in table.model_fields.items():
            key = field.alias or name
            shown = re.search(rf"^\W*\[{key}\b|\b{key} = ", text, re.MULTILINE)
            assert shown or key.lower() == "name", f"{key} is not shown in seatrial.toml"


def test_the_keys_behind_a_sign_are_right_too(tmp_path: Path) -> None:
    """Read with every # in front of a key or a table taken away, the file that we ship has no mistake."""
    text = (ROOT / "seatrial.toml").read_text(encoding="utf-8")
    opened = tmp_path / "seatrial.toml"
    opened.write_text(re.sub(r'^# (?=\[\w|\w+ = |"[\w.-]+" = )', "", text, flags=re.MULTILINE), encoding="utf-8")
    file = read_settings_file(opened)
    assert file.targets and file.tables and file.images and file.loadtest.locustfile


def test_every_environment_variable_is_documented() -> None:
    """The table in docs/configuration.md has each variable that the settings classes name."""
    documented = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for module in ("bot/settings.py", "workers/settings.py"):
        for name in re.findall(r"\(([A-Z_]{4,})\)", (ROOT / module).read_text(encoding="utf-8")):
            assert f"`{name}`" in documented


def test_nothing_hides_the_installed_locust() -> None:
    """A folder locust/ with an __init__.py would be imported in its place."""
    assert not (ROOT / "locust/__init__.py").exists()


def test_every_dependency_is_pinned() -> None:
    """constraints.txt has a version of each direct dependency, and of nothing an address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in wanted} - {"seatrial"}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins.splitlines() if "==" in line}
    assert names <= pinned
    assert "://" not in pins
