"""Deliveries of the local Slack to an app: signatures, deadlines, retries and expiry."""

import json
from urllib.parse import parse_qs

import httpx
import pytest
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier

from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.slack_app_harness import BUTTONS, COMMANDS, ML_OPS, Clock, Deliveries, RecordingServer, build_app, modal
from tests.waiting import wait_until


def test_triggers_and_response_urls_expire() -> None:
    """A trigger expires after 3 s, a response URL after 30 minutes."""
    clock = Clock()
    with LocalSlack(SlackSettings(commands=COMMANDS, clock=clock)) as slack, RecordingServer() as endpoint:
        slack.request_url = endpoint.url
        slack.person("Ada").type("/model list")
        fields = {name: values[0] for name, values in parse_qs(endpoint.requests[0].body.decode()).items()}
        client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
        clock.now_s += 3.1
        with pytest.raises(SlackApiError, match="expired_trigger_id"):
            client.views_open(trigger_id=fields["trigger_id"], view=modal("Late", "run"))
        httpx.post(fields["response_url"], json={"text": "in time"}).raise_for_status()
        clock.now_s += 30 * 60
        assert httpx.post(fields["response_url"], json={"text": "late"}).json()["error"] == "expired_url"


def test_delivery_is_signed() -> None:
    """Slack signs timestamp and raw body with the app's signing secret (v0)."""
    with LocalSlack(SlackSettings(commands=COMMANDS, signing_secret="s3cret")) as slack, RecordingServer() as endpoint:
        slack.request_url = endpoint.url
        slack.person("Ada").type("/model list")
        received = endpoint.requests[0]
        assert SignatureVerifier("s3cret").is_valid_request(received.body, received.headers)
        assert not SignatureVerifier("other").is_valid_request(received.body, received.headers)
        assert received.headers["content-type"] == "application/x-www-form-urlencoded"


def test_failed_command_is_reported_to_its_author_only() -> None:
    """An app that is unreachable, broken or slow gives dispatch_failed or operation_timeout, in Slack's wording."""
    with LocalSlack(SlackSettings(commands=COMMANDS, deadline_s=60)) as slack:
        ada = slack.person("Ada")
        assert ada.type("/model list") == "dispatch_failed"
        assert ada.ephemerals()[-1].plain == '`/model` failed with the error "dispatch_failed"'
        with RecordingServer(500) as endpoint:
            slack.request_url = endpoint.url
            assert ada.type("/model list") == "dispatch_failed"
        assert ada.type("/model list") == "dispatch_failed"
        assert slack.person("Grace").ephemerals() == ()
    with LocalSlack(SlackSettings(commands=COMMANDS, deadline_s=0.3)) as slack:
        ada = slack.person("Ada")
        with RecordingServer(hold_s=60) as endpoint:
            slack.request_url = endpoint.url
            assert ada.type("/model list") == "operation_timeout"
            assert ada.ephemerals()[-1].plain == '`/model` failed with the error "operation_timeout"'
        assert slack.person("Grace").ephemerals() == ()


def test_failed_click_is_not_retried() -> None:
    """Slack delivers interactions once, and shows the member an error."""
    with LocalSlack(SlackSettings(event_retries_s=(0, 0, 0))) as slack, RecordingServer(500) as endpoint:
        slack.request_url = endpoint.url
        client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
        ts = client.chat_postMessage(channel=ML_OPS, text="card", blocks=BUTTONS)["ts"]
        ada = slack.person("Ada")
        assert ada.click(ada.message(ts), "go") == "dispatch_failed"
        assert len(endpoint.requests) == 1


def test_failed_event_is_retried_three_times() -> None:
    """The retries have a number and a reason, and the same event id."""
    with (
        LocalSlack(SlackSettings(event_retries_s=(0, 0.01, 0.01))) as slack,
        RecordingServer(500, 500, 500, 500) as endpoint,
    ):
        slack.request_url = endpoint.url
        slack.person("Ada").type("@seatrial hello")
        wait_until(lambda: len(endpoint.requests) == 4)
        numbers = [one.headers.get("x-slack-retry-num") for one in endpoint.requests]
        assert numbers == [None, "1", "2", "3"]
        assert endpoint.requests[1].headers["x-slack-retry-reason"] == "http_error"
        assert len({json.loads(one.body)["event_id"] for one in endpoint.requests}) == 1


def test_event_is_not_retried_after_success_or_no_retry_header() -> None:
    with LocalSlack(SlackSettings(event_retries_s=(0, 0, 0))) as slack:
        ada = slack.person("Ada")
        with RecordingServer(500, headers={"X-Slack-No-Retry": "1"}) as endpoint:
            slack.request_url = endpoint.url
            ada.type("@seatrial one")
            wait_until(lambda: endpoint.requests)
        with RecordingServer(500, 200) as endpoint:
            slack.request_url = endpoint.url
            ada.type("@seatrial two")
            wait_until(lambda: len(endpoint.requests) == 2)
            texts = {json.loads(one.body)["event"]["text"] for one in endpoint.requests}
            assert texts == {"<@U0SEATRIAL1> two"}


def test_socket_mode_app_reconnects_after_a_disconnect_request() -> None:
    with LocalSlack(SlackSettings(commands=COMMANDS)) as slack:
        deliveries: Deliveries = []
        handler = SocketModeHandler(build_app(deliveries, slack), slack.settings.app_token)
        handler.connect()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        slack.disconnect_sockets()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        assert len(slack.calls("apps.connections.open")) == 2
        assert slack.person("Ada").type("/model again") == ""
        assert len(deliveries) == 1
        handler.close()


def test_missing_socket_mode_acknowledgement_is_a_timeout() -> None:
    """A listener that fails sends no acknowledgement in Socket Mode."""
    with LocalSlack(SlackSettings(commands=COMMANDS, deadline_s=0.3)) as slack:
        handler = SocketModeHandler(build_app([], slack), slack.settings.app_token)
        handler.connect()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        ada = slack.person("Ada")
        assert ada.type("/model crash") == "operation_timeout"
        handler.close()
