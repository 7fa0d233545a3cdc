"""Planned failures, rate limits, call log, access rules and command line of the local Slack."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.local_slack.members import ADA
from bot.local_slack.rate_limits import POSTING, TIER_3, RateLimits
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.slack_app_harness import ML_OPS, Clock

BOT_TOKEN = SlackSettings().bot_token


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """Yield a local Slack without rate limits."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        yield slack


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """Return the bot's client."""
    return WebClient(token=BOT_TOKEN, base_url=slack.api_url)


def test_planned_failures_hit_the_next_calls_in_order(slack: LocalSlack, client: WebClient) -> None:
    """Later calls succeed, and the log has the errors."""
    slack.fail_next("auth.test", times=2, status=500)
    slack.fail_next("auth.test", status=429, retry_after_s=7)
    slack.fail_next("auth.test", status=200, error="fatal_error")
    header = {"Authorization": f"Bearer {BOT_TOKEN}"}
    answers = [httpx.post(f"{slack.api_url}auth.test", headers=header) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [500, 500, 429, 200, 200]
    assert answers[2].headers["retry-after"] == "7" and answers[2].json()["error"] == "ratelimited"
    assert [answer.json()["ok"] for answer in answers] == [False, False, False, False, True]
    assert [call.error for call in slack.calls("auth.test")][-2:] == ["fatal_error", ""]


def test_an_answer_can_be_lost_after_action(slack: LocalSlack, client: WebClient) -> None:
    """This is the hardest case for a retry: the caller got a 500 although the message exists."""
    slack.fail_next("chat.postMessage", status=500, after_action=True)
    with pytest.raises(SlackApiError):
        client.chat_postMessage(channel=ML_OPS, text="posted all the same")
    assert slack.person("Ada").messages()[-1].text == "posted all the same"


def test_call_log_has_decoded_arguments_and_no_token(slack: LocalSlack, client: WebClient) -> None:
    """Blocks are logged as values, whether they were sent as JSON or in a form."""
    client.chat_postMessage(channel=ML_OPS, text="x", blocks=[{"type": "divider"}])
    body = f"token={BOT_TOKEN}&channel={ML_OPS}&blocks=" + json.dumps([{"type": "divider"}])
    urllib.request.urlopen(f"{slack.api_url}chat.postMessage", data=body.encode()).close()
    for call in slack.calls("chat.postMessage")[-2:]:
        assert call.arguments["blocks"] == [{"type": "divider"}] and "token" not in call.arguments


def test_posting_is_rate_limited_per_channel() -> None:
    """After a short burst Slack answers 429 with Retry-After, in that channel only."""
    clock = Clock()
    with LocalSlack(SlackSettings(clock=clock)) as slack:
        client = WebClient(token=BOT_TOKEN, base_url=slack.api_url)
        for _ in range(int(POSTING.burst)):
            client.chat_postMessage(channel=ML_OPS, text="x")
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel=ML_OPS, text="x")
        assert (caught.value.response.status_code, caught.value.response["error"]) == (429, "ratelimited")
        client.chat_postMessage(channel=ADA.id, text="elsewhere")
        clock.now_s += int(caught.value.response.headers["Retry-After"])
        client.chat_postMessage(channel=ML_OPS, text="x")


def test_tier_allows_a_burst_of_one_minute() -> None:
    """Tier 3 gives 50 calls at once, then one every 1.2 s. Retry-After is in whole seconds."""
    clock = Clock()
    limits = RateLimits(clock=clock)
    assert [limits.take("chat.update", TIER_3) for _ in range(51)] == [0] * 50 + [2]
    clock.now_s += 1.2
    assert [limits.take("chat.update", TIER_3) for _ in range(2)] == [0, 2]
    assert limits.take("chat.delete", TIER_3) == 0


def test_page_api_refuses_foreign_hosts_and_forms(slack: LocalSlack) -> None:
    assert httpx.get(f"{slack.url}/local/state", headers={"Host": "evil.example"}).status_code == 400
    answer = httpx.post(f"{slack.url}/local/type", data={"member": "Ada", "channel": "ml-ops", "text": "/model"})
    assert answer.status_code == 415


def test_standalone_program_runs_until_sigterm(tmp_path: Path) -> None:
    """It prints its address, and exits with an error if the port is in use."""
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"features": {"slash_commands": [{"command": "/model", "description": "Train."}]}}))
    command = [sys.executable, "-m", "bot.local_slack", "--bot-token", "xoxb-mine", "--manifest", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stderr
            url = process.stdout.readline().strip()
            WebClient(token="xoxb-mine", base_url=f"{url}/api/").auth_test()
            state = httpx.get(f"{url}/local/state", params={"member": "ada"}).json()
            assert [one["command"] for one in state["commands"]] == ["/model"]
            again = [*command, "--port", url.rpartition(":")[2]]
            refused = subprocess.run(again, capture_output=True, text=True, timeout=60)
            assert refused.returncode == 1 and re.search("cannot listen on port", refused.stderr)
            process.send_signal(signal.SIGTERM)
            assert (process.wait(60), process.stderr.read()) == (0, "")
        finally:
            process.kill()
