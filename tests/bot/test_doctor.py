"""`seatrial doctor` for the bot: each check passes and fails, with a local Slack and a real Redis."""

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
"""`seatrial doctor` without a package."""


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with LocalSlack() as slack:
        yield slack


@pytest.fixture
def bot_environ(slack: LocalSlack, redis_url: str, environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return an environment in which every check passes."""
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
    """Run a command. Return its exit status and lines."""
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def failed(environ: dict[str, str]) -> list[str]:
    """Return the lines of the failed checks."""
    return [str(finding) for finding in findings(environ) if not finding.ok]


def test_every_check_has_a_line_if_all_pass(bot_environ: dict[str, str]) -> None:
    """A missing worker is reported and is no failure."""
    status, lines = run(bot_environ, "-c", WITHOUT, "matplotlib")
    assert status == 0
    assert all(line.startswith("✓") for line in lines[:-1])
    assert lines[-1].startswith("– the worker is not installed here")
    for word in ("SLACK_BOT_TOKEN", "scopes", "@ml-leads", "SLACK_SIGNING_SECRET", "Redis", "models iris"):
        assert any(word in line for line in lines), word


def test_wrong_bot_token_is_reported_with_its_remedy(bot_environ: dict[str, str]) -> None:
    """The token itself is not printed."""
    [line] = failed(bot_environ | {"SLACK_BOT_TOKEN": "xoxb-wrong"})
    assert "invalid_auth" in line
    assert "OAuth & Permissions" in line
    assert "xoxb-wrong" not in line


def test_missing_scopes_are_reported(bot_environ: dict[str, str]) -> None:
    fewer = tuple(scope for scope in SCOPES if scope not in ("files:write", "commands"))
    with LocalSlack(SlackSettings(scopes=fewer)) as slack:
        [line] = failed(bot_environ | {"SLACK_API_URL": slack.api_url})
    assert "commands, files:write missing" in line
    assert "reinstall" in line


def test_wrong_app_token_is_reported_with_its_remedy(bot_environ: dict[str, str], slack: LocalSlack) -> None:
    """With a valid app token, no signing secret is needed."""
    bot_environ = bot_environ | {"SLACK_APP_TOKEN": slack.settings.app_token, "SLACK_SIGNING_SECRET": ""}
    assert failed(bot_environ) == []
    [line] = failed(bot_environ | {"SLACK_APP_TOKEN": "xapp-wrong"})
    assert "connections:write" in line
    assert "xapp-wrong" not in line


def test_group_of_approvers_without_members_is_reported(bot_environ: dict[str, str]) -> None:
    Path(bot_environ["SEATRIAL_CONFIG"]).write_text(SETTINGS.replace("@ml-leads", "@nobody"))
    [line] = failed(bot_environ)
    assert "@nobody" in line
    assert "environments.production.approvals.from" in line


def test_unreachable_slack_is_one_finding(bot_environ: dict[str, str]) -> None:
    """The other checks go on."""
    away = f"http://127.0.0.1:{processes.free_port()}/api/"
    [line] = failed(bot_environ | {"SLACK_API_URL": away})
    assert "cannot be reached" in line
    assert "SLACK_API_URL" in line


def test_every_mistake_in_the_settings_is_reported(bot_environ: dict[str, str]) -> None:
    """They are in the environment and in the file."""
    Path(bot_environ["SEATRIAL_CONFIG"]).write_text('warehose = "local"')
    lines = failed(bot_environ | {"SLACK_BOT_TOKEN": "", "SLACK_SIGNING_SECRET": ""})
    assert len(lines) == 3
    assert any("warehose" in line for line in lines)


def test_unreachable_redis_is_reported_without_its_password(bot_environ: dict[str, str]) -> None:
    port = processes.free_port()
    [line] = failed(bot_environ | {"REDIS_URL": f"redis://:geheim@127.0.0.1:{port}/0"})
    assert f"127.0.0.1:{port} cannot be reached" in line
    assert "geheim" not in line


def test_redis_that_can_lose_data_is_reported(bot_environ: dict[str, str], tmp_path: Path) -> None:
    """It has no append-only file, and it evicts keys."""
    with processes.redis(tmp_path) as url:
        client = redis.Redis.from_url(url)
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.close()
        no_file, evicts = failed(bot_environ | {"REDIS_URL": url})
    assert "CONFIG SET appendonly yes" in no_file
    assert "allkeys-lru" in evicts
    assert "CONFIG SET maxmemory-policy noeviction" in evicts


def test_wrong_password_and_missing_rights_are_distinct_findings(bot_environ: dict[str, str], tmp_path: Path) -> None:
    """Neither shows the password."""
    with processes.redis(tmp_path) as url:
        client = redis.Redis.from_url(url)
        client.acl_setuser("watcher", enabled=True, passwords=["+geheim"], commands=["+ping", "+hello", "+client"])
        client.close()
        [wrong] = failed(bot_environ | {"REDIS_URL": url.replace("://", "://watcher:falsch@")})
        [unable] = failed(bot_environ | {"REDIS_URL": url.replace("://", "://watcher:geheim@")})
    assert "user and password" in wrong
    assert "falsch" not in wrong
    assert "ACL SETUSER" in unable
    assert "geheim" not in unable


def test_bot_without_its_package_is_not_checked(bot_environ: dict[str, str]) -> None:
    """A worker's machine has no Slack token."""
    status, lines = run(bot_environ | {"SLACK_BOT_TOKEN": ""}, "-c", WITHOUT, "slack_bolt")
    assert status == 0
    assert lines[0].startswith("– the bot is not installed here")
    assert lines[1].startswith("✓ a worker's settings")


def test_failure_of_the_worker_fails_the_doctor(bot_environ: dict[str, str]) -> None:
    """The worker's checks follow the bot's."""
    status, lines = run(bot_environ | {"SEATRIAL_THREADS": "none"}, "-m", "bot", "doctor")
    assert status == 1
    assert lines[0].startswith("✓ the bot's settings")
    assert [line for line in lines if not line.startswith("✓")] == [
        "✗ SEATRIAL_THREADS: it must be a whole number, found 'none'."
    ]
