"""The local Slack offers the slash commands of the app's manifest, and only these."""

import json
from pathlib import Path

import httpx
import pytest

from bot.local_slack.__main__ import main
from bot.local_slack.members import slash_commands
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.manifest import manifest
from tests.bot.slack_app_harness import COMMANDS

DECLARED = manifest(request_url="https://bot.example/slack/events")["features"]["slash_commands"]


def test_page_offers_exactly_the_commands_of_the_manifest() -> None:
    """Names, descriptions and usage hints are the same."""
    with LocalSlack(SlackSettings(commands=COMMANDS)) as slack:
        state = httpx.get(f"{slack.url}/local/state", params={"member": "ada"}).json()
    fields = ("command", "description", "usage_hint")
    assert state["commands"] == [{field: one[field] for field in fields} for one in DECLARED]


def test_command_outside_the_manifest_is_refused() -> None:
    with LocalSlack() as slack:
        ada = slack.person("Ada")
        ada.type("/model list")
        assert ada.ephemerals()[-1].plain == "`/model` is not a valid command."


def test_manifest_without_commands_has_none() -> None:
    assert slash_commands({"display_information": {"name": "Seatrial"}}) == ()


@pytest.mark.parametrize("content", [None, "{", "[1]", json.dumps({"features": {"slash_commands": [{}]}})])
def test_unreadable_manifest_file_is_reported(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "manifest.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit, match="2"):
        main(["--manifest", str(file)])
    assert f"{file} is not an app manifest in JSON" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["Dockerfile", "docker-compose.yml", "k8s/overlays/local/local-slack.yaml"])
def test_deployed_local_slack_gets_the_manifest_of_its_image(file: str) -> None:
    root = Path(__file__).parents[2]
    assert "python -m bot manifest > manifest.json" in (root / "Dockerfile").read_text()
    text = (root / file).read_text()
    assert text.count("bot.local_slack") == text.count("--manifest=/app/manifest.json") == 1
