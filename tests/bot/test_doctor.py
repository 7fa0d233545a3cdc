"""`seatrial doctor`, the bot's side: every check made to pass and to fail, with a local Slack and a real Redis."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from bot.demo import processes
from bot.doctor import findings
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.local_slack.web_api import SCOPES

ROOT = Path(__file__).parents[2]
SETTINGS = """
[models.iris]
type = "logistic_reg"
label = "species"
query = "SELECT 1"
sample = [{ sepal_length = 5.0 }]

[environments.production]
approvals = { from = ["@ml-leads"] }
"""
WITHOUT = """
import importlib.util, sys
found, lacking = importlib.util.find_spec, sys.argv[1]
importlib.util.find_spec = lambda name, *rest: None if name == lacking else found(name, *rest)
from bot.__main__ import main
sys.exit(main(["doctor"]))
"""
"""`seatrial doctor` where a package is not installed."""


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with LocalSlack() as slack:
        yield slack


@pytest.fixture
def told(slack: LocalSlack, redis_url: str, environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which all is well."""
    (tmp_path / "seatrial.toml").write_text(SETTINGS)
    return environ | {
        "SLACK_BOT_TOKEN": slack.settings.bot_token,
        "SLACK_SIGNING_SECRET": slack.settings.signing_secret,
        "SLACK_API_URL": slack.api_url,
        "REDIS_URL": redis_url,
        "SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml"),
        "SEATRIAL_HOME": str(tmp_path / "home"),
    }


def run(environ: dict[str, str], *words: str) -> tuple[int, list[str]]:
    """A command's exit status and lines."""
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def failed(environ: dict[str, str]) -> list[str]:
    """The lines of the checks that fail."""
    return [str(finding) for finding in findings(environ) if not finding.ok]


def test_all_is_well(told: dict[str, str]) -> None:
    """Every check has its line and a tick; a worker that is not installed is said not to be, and is no failure."""
    status, lines = run(told, "-c", WITHOUT, "matplotlib")
    assert status == 0
    assert all(line.startswith("✓") for line in lines[:-1])
    assert lines[-1].startswith("– the worker is not installed here")
    for word in ("SLACK_BOT_TOKEN", "scopes", "@ml-leads", "SLACK_SIGNING_SECRET", "Redis", "models iris"):
        assert any(word in line for line in lines), word


def test_a_wrong_token_is_told_with_where_the_right_one_is(told: dict[str, str]) -> None:
    """In Slack's own word for why; the token itself is not shown."""
    [line] = failed(told | {"SLACK_BOT_TOKEN": "xoxb-wrong"})
    assert "invalid_auth" in line
    assert "OAuth & Permissions" in line
    assert "xoxb-wrong" not in line


def test_missing_scopes_are_named(told: dict[str, str]) -> None:
    """As Slack's header tells them, with how to add them."""
    fewer = tuple(scope for scope in SCOPES if scope not in ("files:write", "commands"))
    with LocalSlack(SlackSettings(scopes=fewer)) as slack:
        [line] = failed(told | {"SLACK_API_URL": slack.api_url})
    assert "commands, files:write missing" in line
    assert "reinstall" in line


def test_an_app_token_is_tried(told: dict[str, str], slack: LocalSlack) -> None:
    """It must open Socket Mode; then no signing secret is needed."""
    told = told | {"SLACK_APP_TOKEN": slack.settings.app_token, "SLACK_SIGNING_SECRET": ""}
    assert failed(told) == []
    [line] = failed(told | {"SLACK_APP_TOKEN": "xapp-wrong"})
    assert "connections:write" in line
    assert "xapp-wrong" not in line


def test_approvers_that_are_nobody(told: dict[str, str]) -> None:
    """A user group without members would let every deploy wait in vain."""
    Path(told["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("@ml-leads", "@nobody"))
    [line] = failed(told)
    assert "@nobody" in line
    assert "environments.production.approvals.from" in line


def test_a_slack_that_cannot_be_reached(told: dict[str, str]) -> None:
    """One line, with the setting that says where Slack is; the other checks go on."""
    away = f"http://127.0.0.1:{processes.free_port()}/api/"
    [line] = failed(told | {"SLACK_API_URL": away})
    assert "cannot be reached" in line
    assert "SLACK_API_URL" in line


def test_mistakes_in_the_settings_are_all_told(told: dict[str, str]) -> None:
    """Each on a line of its own: the environment's and the file's."""
    Path(told["SEATRIAL_CONFIG"]).write_text('warehose = "local"')
    lines = failed(told | {"SLACK_BOT_TOKEN": "", "SLACK_SIGNING_SECRET": ""})
    assert len(lines) == 3
    assert any("warehose" in line for line in lines)


def test_a_redis_that_is_away(told: dict[str, str]) -> None:
    """With its address and without its password."""
    port = processes.free_port()
    [line] = failed(told | {"REDIS_URL": f"redis://:geheim@127.0.0.1:{port}/0"})
    assert f"127.0.0.1:{port} cannot be reached" in line
    assert "geheim" not in line


def test_a_redis_that_would_forget(told: dict[str, str], tmp_path: Path) -> None:
    """Without an append-only file, or dropping keys when full: each has its line and its command."""
    with processes.redis(tmp_path) as url:
        client = redis.Redis.from_url(url)
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.close()
        forgets, drops = failed(told | {"REDIS_URL": url})
    assert "CONFIG SET appendonly yes" in forgets
    assert "allkeys-lru" in drops
    assert "CONFIG SET maxmemory-policy noeviction" in drops


def test_a_redis_that_refuses(told: dict[str, str], tmp_path: Path) -> None:
    """A wrong password and a user without rights are told apart, and the password is shown in neither."""
    with processes.redis(tmp_path) as url:
        client = redis.Redis.from_url(url)
        client.acl_setuser("watcher", enabled=True, passwords=["+geheim"], commands=["+ping", "+hello", "+client"])
        client.close()
        [wrong] = failed(told | {"REDIS_URL": url.replace("://", "://watcher:falsch@")})
        [unable] = failed(told | {"REDIS_URL": url.replace("://", "://watcher:geheim@")})
    assert "user and password" in wrong
    assert "falsch" not in wrong
    assert "ACL SETUSER" in unable
    assert "geheim" not in unable


def test_a_bot_that_is_not_installed_is_not_checked(told: dict[str, str]) -> None:
    """A worker's machine holds no Slack token, and that is as it should be."""
    status, lines = run(told | {"SLACK_BOT_TOKEN": ""}, "-c", WITHOUT, "slack_bolt")
    assert status == 0
    assert lines[0].startswith("– the bot is not installed here")
    assert lines[1].startswith("✓ a worker's settings")


def test_both_sides_are_asked(told: dict[str, str]) -> None:
    """Where both are installed the worker's checks follow the bot's, and a failure of one is the whole's."""
    status, lines = run(told | {"SEATRIAL_THREADS": "none"}, "-m", "bot", "doctor")
    assert status == 1
    assert lines[0].startswith("✓ the bot's settings")
    assert [line for line in lines if not line.startswith("✓")] == [
        "✗ SEATRIAL_THREADS: wanted a number from 1 to 64, found 'none'."
    ]
