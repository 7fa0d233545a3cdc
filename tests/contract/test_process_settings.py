"""Tests of the settings that bot and workers read from environment variables."""

from pathlib import Path

import pytest

from bot import settings as bot
from workers import settings as worker
from workers.contract.settings import SettingsError

SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-sesame",
    "SLACK_APP_TOKEN": "xapp-sesame",
    "SLACK_SIGNING_SECRET": "sesame",
    "REDIS_URL": "redis://:sesame@127.0.0.1:6379/0",
    "REGISTRY_PASSWORD": "sesame",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "seatrial.toml"
    file.touch()
    return {**SECRETS, "SEATRIAL_CONFIG": str(file)}


def read_mistakes(environ: dict[str, str]) -> list[str]:
    """Return the mistakes that the bot reports."""
    with pytest.raises(SettingsError) as caught:
        bot.read_settings(environ)
    return list(caught.value.mistakes)


def test_settings_are_read_from_the_mapping_only(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_THREADS", "9")
    monkeypatch.setenv("PORT", "none")
    settings = worker.read_settings(
        environ | {"SEATRIAL_LEASE_S": "2.5", "SEATRIAL_GRACE_S": "", "DOCKER_HOST": "unix://x"}
    )
    assert (settings.threads, settings.lease_s, settings.grace_s) == (4, 2.5, 20.0)
    assert (settings.docker, settings.home) == ({"DOCKER_HOST": "unix://x"}, Path(".seatrial").absolute())
    assert bot.read_settings(environ | {"SLACK_API_URL": "http://slack/api"}).api_url == "http://slack/api/"


def test_secrets_are_not_shown(environ: dict[str, str]) -> None:
    assert "sesame" not in repr(bot.read_settings(environ)) + repr(worker.read_settings(environ))
    wrong = {"SLACK_BOT_TOKEN": "sesame", "SLACK_APP_TOKEN": "sesame", "REDIS_URL": "redis://:sesame/street@host:x"}
    assert "sesame" not in "".join(read_mistakes(environ | wrong))


def test_mistakes_of_variables_and_file_are_reported_together(environ: dict[str, str]) -> None:
    Path(environ["SEATRIAL_CONFIG"]).write_text('warehose = "local"\nartefacts = "local"\n')
    mistakes = read_mistakes(environ | {"SLACK_BOT_TOKEN": "", "PORT": "65536", "REDIS_URL": "http://127.0.0.1"})
    assert len(mistakes) == 5
    for name in ("SLACK_BOT_TOKEN", "PORT", "REDIS_URL", "warehose", "artefacts"):
        assert any(name in mistake for mistake in mistakes)


def test_signing_secret_is_required_without_an_app_token(environ: dict[str, str]) -> None:
    assert bot.read_settings(environ | {"SLACK_SIGNING_SECRET": ""}).signing_secret == ""
    [mistake] = read_mistakes(environ | {"SLACK_SIGNING_SECRET": "", "SLACK_APP_TOKEN": ""})
    assert mistake.startswith("SLACK_SIGNING_SECRET: ")


@pytest.mark.parametrize("text", ["many", "nan", "inf", "0", "301"])
def test_number_outside_its_range_is_refused(environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError, match=f"SEATRIAL_LEASE_S: .* found '{text}'"):
        worker.read_settings(environ | {"SEATRIAL_LEASE_S": text})
