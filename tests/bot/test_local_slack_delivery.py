"""How the local Slack reaches an app: signed, within deadlines, again or never again; and what runs out."""

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
from tests.bot.slack_app_harness import BUTTONS, COMMANDS, ML_OPS, Clock, Deliveries, Endpoint, build_app, modal
from tests.waiting import wait_until


def test_triggers_and_response_urls_run_out() -> None:
    """A trigger lives 3 s, a response URL 30 minutes."""
    clock = Clock()
    with LocalSlack(SlackSettings(commands=COMMANDS, clock=clock)) as slack, Endpoint() as endpoint:
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


def test_every_delivery_is_signed() -> None:
    """The signature is Slack's v0 over timestamp and raw body, with the secret that both sides know."""
    with LocalSlack(SlackSettings(commands=COMMANDS, signing_secret="s3cret")) as slack, Endpoint() as endpoint:
        slack.request_url = endpoint.url
        slack.person("Ada").type("/model list")
        received = endpoint.requests[0]
        assert SignatureVerifier("s3cret").is_valid_request(received.body, received.headers)
        assert not SignatureVerifier("other").is_valid_request(received.body, received.headers)
        assert received.headers["content-type"] == "application/x-www-form-urlencoded"


def test_an_app_that_is_slow_away_or_broken_is_told_to_whoever_typed() -> None:
    """Slack's own sentence, with operation_timeout or dispatch_failed, to that one member."""
    with LocalSlack(SlackSettings(commands=COMMANDS, deadline_s=60)) as slack:
        ada = slack.person("Ada")
        assert ada.type("/model list") == "dispatch_failed"
        assert ada.ephemerals()[-1].plain == '`/model` failed with the error "dispatch_failed"'
        with Endpoint(500) as endpoint:
            slack.request_url = endpoint.url
            assert ada.type("/model list") == "dispatch_failed"
        assert ada.type("/model list") == "dispatch_failed"
        assert slack.person("Grace").ephemerals() == ()
    with LocalSlack(SlackSettings(commands=COMMANDS, deadline_s=0.3)) as slack:
        ada = slack.person("Ada")
        with Endpoint(hold_s=60) as endpoint:
            slack.request_url = endpoint.url
            assert ada.type("/model list") == "operation_timeout"
            assert ada.ephemerals()[-1].plain == '`/model` failed with the error "operation_timeout"'
        assert slack.person("Grace").ephemerals() == ()


def test_a_click_that_the_app_does_not_take_is_lost() -> None:
    """Interactions are delivered once: the member sees an error and nothing is tried again."""
    with LocalSlack(SlackSettings(event_retries_s=(0, 0, 0))) as slack, Endpoint(500) as endpoint:
        slack.request_url = endpoint.url
        client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
        ts = client.chat_postMessage(channel=ML_OPS, text="card", blocks=BUTTONS)["ts"]
        ada = slack.person("Ada")
        assert ada.click(ada.message(ts), "go") == "dispatch_failed"
        assert len(endpoint.requests) == 1


def test_an_event_that_the_app_does_not_take_comes_again() -> None:
    """Three retries at most, numbered and with their reason, the event's own id always the same."""
    with LocalSlack(SlackSettings(event_retries_s=(0, 0.01, 0.01))) as slack, Endpoint(500, 500, 500, 500) as endpoint:
        slack.request_url = endpoint.url
        slack.person("Ada").type("@seatrial hello")
        wait_until(lambda: len(endpoint.requests) == 4)
        numbers = [one.headers.get("x-slack-retry-num") for one in endpoint.requests]
        assert numbers == [None, "1", "2", "3"]
        assert endpoint.requests[1].headers["x-slack-retry-reason"] == "http_error"
        assert len({json.loads(one.body)["event_id"] for one in endpoint.requests}) == 1


def test_an_event_is_not_tried_again_where_the_app_says_so() -> None:
    """`X-Slack-No-Retry: 1` ends it; so does a 200."""
    with LocalSlack(SlackSettings(event_retries_s=(0, 0, 0))) as slack:
        ada = slack.person("Ada")
        with Endpoint(500, headers={"X-Slack-No-Retry": "1"}) as endpoint:
            slack.request_url = endpoint.url
            ada.type("@seatrial one")
            wait_until(lambda: endpoint.requests)
        with Endpoint(500, 200) as endpoint:
            slack.request_url = endpoint.url
            ada.type("@seatrial two")
            wait_until(lambda: len(endpoint.requests) == 2)
            texts = {json.loads(one.body)["event"]["text"] for one in endpoint.requests}
            assert texts == {"<@U0SEATRIAL1> two"}


def test_socket_mode_survives_slacks_own_reconnects() -> None:
    """Asked to reconnect, Bolt comes back on a fresh connection and commands arrive again."""
    with LocalSlack(SlackSettings(commands=COMMANDS)) as slack:
        seen: Deliveries = []
        handler = SocketModeHandler(build_app(seen, slack), slack.settings.app_token)
        handler.connect()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        slack.disconnect_sockets()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        assert len(slack.calls("apps.connections.open")) == 2
        assert slack.person("Ada").type("/model again") == ""
        assert len(seen) == 1
        handler.close()


def test_an_answer_that_never_comes_by_socket_is_a_timeout() -> None:
    """A listener that fails sends nothing at all in Socket Mode: to Slack that is operation_timeout."""
    with LocalSlack(SlackSettings(commands=COMMANDS, deadline_s=0.3)) as slack:
        handler = SocketModeHandler(build_app([], slack), slack.settings.app_token)
        handler.connect()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        ada = slack.person("Ada")
        assert ada.type("/model crash") == "operation_timeout"
        handler.close()
