"""The agreement of jobs, handlers, commands, manifest, documentation and golden cards."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bot.commands import ANY_VERB, COMMANDS
from bot.manifest import manifest
from bot.settings import BotSettings
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
from workers.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCOPES = {"commands", "chat:write", "files:write", "users:read", "usergroups:read", "app_mentions:read"}
SCOPES |= {"channels:history", "groups:history"}


def test_every_kind_of_job_has_a_handler_and_golden_cards() -> None:
    assert set(HANDLERS) == set(KINDS)
    golden = {path.stem.split("-")[0] for path in (ROOT / "tests/views/golden").glob("*.json")}
    assert golden == set(KINDS)


def test_readme_table_lists_every_form_of_every_command() -> None:
    rows = [
        f"| `{form.usage.replace('|', chr(92) + '|')}` | {form.does.replace('|', chr(92) + '|')} |"
        for command in COMMANDS.values()
        for form in command.forms
    ]
    assert "| Command | What it does |\n|---|---|\n" + "\n".join(rows) + "\n\n" in README


@pytest.mark.parametrize("request_url", [None, "https://example.com/slack/events"])
def test_manifest_has_every_command_within_the_limits_of_slack(request_url: str | None) -> None:
    """Names have up to 32 characters and hints up to 1,000. Scopes are only those in use."""
    made = manifest(request_url=request_url)
    commands = made["features"]["slash_commands"]
    assert [command["command"] for command in commands] == list(COMMANDS)
    assert all(len(command["command"]) <= 32 and 0 < len(command["usage_hint"]) <= 1000 for command in commands)
    assert all(("url" in command) == (request_url is not None) for command in commands)
    assert set(made["oauth_config"]["scopes"]["bot"]) == SCOPES
    assert made["settings"]["socket_mode_enabled"] == (request_url is None)
    assert len(made["display_information"]["name"]) <= 35


@pytest.mark.parametrize(
    ("umbrella", "prefix", "first"), [(True, "", "/seatrial"), (True, "ml", "/ml-seatrial"), (False, "ml", "/ml-model")]
)
def test_manifest_for_a_workspace_with_taken_names_avoids_them(umbrella: bool, prefix: str, first: str) -> None:
    made = manifest(request_url=None, umbrella=umbrella, prefix=prefix)
    names = [command["command"] for command in made["features"]["slash_commands"]]
    assert names[0] == first
    assert len(names) == (1 if umbrella else len(COMMANDS))
    assert all(ANY_VERB.fullmatch(name) and len(name) <= 32 for name in names)


def test_command_line_prints_the_manifest_as_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot", "manifest", "https://example.com/slack/events"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == manifest(request_url="https://example.com/slack/events")


def test_unknown_subcommand_prints_the_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot", "bto"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "seatrial worker" in done.stderr


def test_shipped_settings_file_is_valid_and_shows_every_key() -> None:
    """A key may be commented out."""
    file = read_settings_file(ROOT / "seatrial.toml")
    text = (ROOT / "seatrial.toml").read_text(encoding="utf-8")
    assert set(file.environments) == {"staging", "production"}
    for table in (SettingsFile, Model, Environment, Approvals, LoadTarget, LoadTestDefaults, ImageSettings):
        for name, field in table.model_fields.items():
            key = field.alias or name
            shown = re.search(rf"^\W*\[{key}\b|\b{key} = ", text, re.MULTILINE)
            assert shown or key.lower() == "name", f"{key} is not shown in seatrial.toml"


def test_shipped_settings_file_is_valid_with_all_comments_removed(tmp_path: Path) -> None:
    text = (ROOT / "seatrial.toml").read_text(encoding="utf-8")
    opened = tmp_path / "seatrial.toml"
    opened.write_text(re.sub(r'^# (?=\[\w|\w+ = |"[\w.-]+" = )', "", text, flags=re.MULTILINE), encoding="utf-8")
    file = read_settings_file(opened)
    assert file.targets and file.tables and file.images and file.loadtest.locustfile


def test_every_environment_variable_is_documented() -> None:
    documented = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for settings in (BotSettings, WorkerSettings):
        for field in settings.model_fields.values():
            assert f"`{field.alias}`" in documented


def test_locust_folder_is_no_package() -> None:
    """An `__init__.py` there would hide the installed Locust."""
    assert not (ROOT / "locust/__init__.py").exists()


def test_every_dependency_is_pinned_without_an_address() -> None:
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
