"""The local Slack's Web API fails on purpose, holds to its rate limits, keeps a log, and guards its own door."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

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
    """One local Slack that may be flooded."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        yield slack


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """The bot's client."""
    return WebClient(token=BOT_TOKEN, base_url=slack.api_url)


def test_planned_failures_meet_the_next_calls(slack: LocalSlack, client: WebClient) -> None:
    """500s and a 429 come as planned and in order; then everything is fine again, and the log knows."""
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
    """The message is there although the caller was told 500: the hardest case for whoever tries again."""
    slack.fail_next("chat.postMessage", status=500, after_action=True)
    with pytest.raises(SlackApiError):
        client.chat_postMessage(channel=ML_OPS, text="posted all the same")
    assert slack.person("Ada").messages()[-1].text == "posted all the same"


def test_the_log_keeps_arguments_decoded_and_no_token(slack: LocalSlack, client: WebClient) -> None:
    """A logged call shows blocks as values, whichever way they were sent, and never the token."""
    client.chat_postMessage(channel=ML_OPS, text="x", blocks=[{"type": "divider"}])
    body = f"token={BOT_TOKEN}&channel={ML_OPS}&blocks=" + json.dumps([{"type": "divider"}])
    urllib.request.urlopen(f"{slack.api_url}chat.postMessage", data=body.encode()).close()
    for call in slack.calls("chat.postMessage")[-2:]:
        assert call.arguments["blocks"] == [{"type": "divider"}] and "token" not in call.arguments


def test_posting_too_fast_is_refused_until_the_wait_is_over() -> None:
    """A short burst passes; then 429 with Retry-After, in that channel only; after the wait it goes on."""
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


def test_a_tiers_minute_may_come_at_once_and_then_at_its_pace() -> None:
    """Tier 3 gives 50 calls at once, then one every 1.2 s, whole seconds told."""
    clock = Clock()
    limits = RateLimits(clock=clock)
    assert [limits.take("chat.update", TIER_3) for _ in range(51)] == [0] * 50 + [2]
    clock.now_s += 1.2
    assert [limits.take("chat.update", TIER_3) for _ in range(2)] == [0, 2]
    assert limits.take("chat.delete", TIER_3) == 0


def test_the_page_answers_loopback_only_and_json_only(slack: LocalSlack) -> None:
    """Neither a foreign host name nor a plain form reaches what members can do."""
    assert httpx.get(f"{slack.url}/local/state", headers={"Host": "evil.example"}).status_code == 400
    answer = httpx.post(f"{slack.url}/local/type", data={"member": "Ada", "channel": "ml-ops", "text": "/model"})
    assert answer.status_code == 415


def test_it_runs_by_itself_until_it_is_told_to_stop() -> None:
    """`python -m bot.local_slack` prints its address, answers there, and ends on SIGTERM without a trace."""
    command = [sys.executable, "-m", "bot.local_slack", "--bot-token", "xoxb-mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stderr
            url = process.stdout.readline().strip()
            WebClient(token="xoxb-mine", base_url=f"{url}/api/").auth_test()
            again = [*command, "--port", url.rpartition(":")[2]]
            refused = subprocess.run(again, capture_output=True, text=True, timeout=60)
            assert refused.returncode == 1 and re.search("cannot listen on port", refused.stderr)
            process.send_signal(signal.SIGTERM)
            assert (process.wait(60), process.stderr.read()) == (0, "")
        finally:
            process.kill()
