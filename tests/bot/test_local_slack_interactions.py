"""Commands, clicks, modals and events of the local Slack with a real Bolt app, over HTTP and Socket Mode."""

import threading
from collections.abc import Iterator

import httpx
import pytest
import waitress
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk.errors import SlackApiError

from bot.local_slack.members import ADA, SYBIL
from bot.local_slack.person import Person
from bot.local_slack.refusal import SlackRefusal
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.slack_app_harness import BUTTONS, COMMANDS, ML_OPS, Deliveries, SlackAppHarness, build_app, modal
from tests.waiting import wait_until


@pytest.fixture(scope="module", params=["http", "socket mode"])
def harness(request: pytest.FixtureRequest) -> Iterator[SlackAppHarness]:
    """Yield the same app behind each of Slack's transports."""
    with LocalSlack(SlackSettings(commands=COMMANDS, rate_limits=False)) as slack:
        deliveries: Deliveries = []
        app = build_app(deliveries, slack)
        if request.param == "http":
            server = waitress.create_server(SlackRequestHandler(app), host="127.0.0.1", port=0)
            threading.Thread(target=server.run, daemon=True).start()
            slack.request_url = f"http://127.0.0.1:{server.effective_port}/slack/events"
            yield SlackAppHarness(slack=slack, app=app, deliveries=deliveries)
            server.close()
            server.task_dispatcher.shutdown()
        else:
            handler = SocketModeHandler(app, slack.settings.app_token)
            handler.connect()
            wait_until(lambda: slack.server.socket_mode.is_connected)
            yield SlackAppHarness(slack=slack, app=app, deliveries=deliveries)
            handler.close()


@pytest.fixture
def ada(harness: SlackAppHarness) -> Person:
    """Return the member who acts."""
    return harness.slack.person("Ada")


def last_ephemeral(person: Person) -> str:
    """Return the text of the last message that only this member sees."""
    return person.ephemerals()[-1].plain


def test_command_is_delivered_with_all_fields_and_answered_ephemerally(harness: SlackAppHarness, ada: Person) -> None:
    """The app gets &, < and > escaped."""
    assert ada.type("/model  train iris <&> p95<200ms") == ""
    command = harness.last("command")
    assert command["text"] == "train iris &lt;&amp;&gt; p95&lt;200ms"
    assert (command["command"], command["channel_id"], command["channel_name"]) == ("/model", ML_OPS, "ml-ops")
    assert (command["user_id"], command["user_name"], command["is_enterprise_install"]) == (ADA.id, "ada", "false")
    assert {"team_id", "team_domain", "api_app_id", "token", "trigger_id", "response_url"} <= command.keys()
    assert last_ephemeral(ada).startswith("heard train")
    assert not any(one.plain.startswith("heard train") for one in harness.slack.person("Grace").ephemerals())


def test_command_can_be_answered_in_the_channel_twice_or_silently(harness: SlackAppHarness, ada: Person) -> None:
    """in_channel is visible to all, respond() adds to the ack, and an empty ack shows no message."""
    ada.type("/model aloud")
    assert ada.messages()[-1].plain == "for all"
    ada.type("/model twice")
    ada.wait_for(lambda: {"first", "second"} <= {one.plain for one in ada.ephemerals()[-2:]})
    before = ada.ephemerals()
    assert ada.type("/model silent") == ""
    assert ada.ephemerals() == before


def test_ack_with_invalid_blocks_is_reported_to_the_author(harness: SlackAppHarness, ada: Person) -> None:
    assert ada.type("/model wrong") == "invalid_blocks"
    assert last_ephemeral(ada) == '`/model` failed with the error "invalid_blocks"'


def test_click_is_delivered_with_its_message_and_opens_a_modal(harness: SlackAppHarness, ada: Person) -> None:
    """block_actions has the member, channel, message, action, and a trigger for a modal."""
    card = harness.card()
    assert ada.click_button(card, "Go") == ""
    body = harness.last("go")
    action = body["actions"][0]
    assert (action["action_id"], action["value"], action["type"]) == ("go", "job-1", "button")
    assert (body["user"]["id"], body["channel"]["id"], body["message"]["ts"]) == (ADA.id, ML_OPS, card.ts)
    assert body["container"] == {"type": "message", "message_ts": card.ts, "channel_id": ML_OPS, "is_ephemeral": False}
    assert ada.wait_for(ada.modal).title == "Run it"
    assert harness.slack.person("Grace").modal() is None
    ada.close_modal()


def test_menu_choice_is_delivered_and_its_message_replaced(harness: SlackAppHarness, ada: Person) -> None:
    card = harness.card()
    ada.click(card, "pick", "two")
    assert harness.last("pick")["actions"][0]["selected_option"]["value"] == "two"
    ada.wait_for(lambda: ada.message(card.ts).plain == "replaced")
    with pytest.raises(SlackRefusal, match="invalid_option"):
        ada.click(harness.card(), "pick", "three")


def open_modal(harness: SlackAppHarness, person: Person) -> None:
    """Press Go and wait for the modal."""
    person.click_button(harness.card(), "Go")
    person.wait_for(person.modal)


def test_modal_is_validated_submitted_and_closed(harness: SlackAppHarness, ada: Person) -> None:
    """Slack's own input errors come first, then the app's. A valid submission has values by block and action."""
    open_modal(harness, ada)
    assert ada.submit() == {"why": "Please complete this required field."}
    assert ada.submit({"why": "x"}) == {"why": "Please write at least 3 characters."}
    assert ada.submit({"why": "bad", "rate": "0"}) == {"rate": "Please enter at least 1."}
    assert ada.submit({"why": "bad"}) == {"why": "Not a reason."}
    assert ada.submit({"why": "good", "env": "production", "flags": ["staging"]}) == {}
    values = harness.last("submission")["view"]["state"]["values"]
    assert values["why"]["why"] == {"type": "plain_text_input", "value": "good"}
    assert values["rate"]["rate"]["value"] == "1000"
    assert values["env"]["env"]["selected_option"]["value"] == "production"
    assert [one["value"] for one in values["flags"]["flags"]["selected_options"]] == ["staging"]
    assert ada.modal() is None


def test_button_in_a_modal_sends_the_current_values(harness: SlackAppHarness, ada: Person) -> None:
    """The payload has a trigger of its own."""
    open_modal(harness, ada)
    assert ada.click_in_modal("check", values={"why": "half"}) == ""
    body = harness.last("check")
    assert body["container"] == {"type": "view", "view_id": ada.modal().id}
    assert body["view"]["state"]["values"]["why"]["why"]["value"] == "half"
    assert body["trigger_id"]
    ada.close_modal()


def test_submission_can_update_push_and_clear_modals(harness: SlackAppHarness, ada: Person) -> None:
    open_modal(harness, ada)
    ada.submit({"why": "other"})
    assert ada.modal().title == "Other"
    ada.submit({"why": "more"})
    assert ada.modal().title == "Sure?"
    ada.submit({"why": "yes"})
    assert ada.modal() is None


def test_closed_modal_with_notify_on_close_sends_view_closed(harness: SlackAppHarness, ada: Person) -> None:
    open_modal(harness, ada)
    assert ada.close_modal() == ""
    assert harness.last("closed")["view"]["callback_id"] == "run"


def test_trigger_cannot_be_used_twice(harness: SlackAppHarness, ada: Person) -> None:
    open_modal(harness, ada)
    trigger_id = harness.last("go")["trigger_id"]
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        harness.app.client.views_open(trigger_id=trigger_id, view=modal("Again", "run"))
    ada.close_modal()


def test_mention_in_a_thread_is_delivered(harness: SlackAppHarness, ada: Person) -> None:
    """Names become references, the rest is escaped, and the event has the thread."""
    card = harness.card()
    ada.type("@seatrial cancel <now> @Grace #random", thread_ts=card.ts)
    mentions = wait_until(
        lambda: [e for n, e in harness.deliveries if n == "mention" and e.get("thread_ts") == card.ts]
    )
    event = mentions[0]
    assert event["text"].startswith("<@U0SEATRIAL1> cancel &lt;now&gt; <@U0GRC9H2VX3> <#C0RANDOM4K8|random>")
    assert (event["user"], event["channel"]) == (ADA.id, ML_OPS)
    ada.wait_for(lambda: [one for one in ada.thread(card) if one.plain == "yes?"])


def test_opened_home_tab_is_published_by_the_app(harness: SlackAppHarness, ada: Person) -> None:
    ada.open_home()
    harness.last("home")
    assert "Welcome" in ada.wait_for(ada.home).plain


def test_slack_connect_member_can_click_but_not_run_commands(harness: SlackAppHarness) -> None:
    """The click names the member's own team."""
    sybil = harness.slack.person("Sybil")
    sybil.click_button(harness.card("Sybil"), "Go")
    clicks = wait_until(lambda: [b for n, b in harness.deliveries if n == "go" and b["user"]["id"] == SYBIL.id])
    assert clicks[0]["user"]["team_id"] == SYBIL.team_id != clicks[0]["team"]["id"]
    sybil.type("/model list")
    assert "not a valid command" in last_ephemeral(sybil)


def test_command_in_a_thread_and_unknown_command_are_refused_by_slack(harness: SlackAppHarness, ada: Person) -> None:
    """Neither reaches the app."""
    card, before = harness.card(), len(harness.deliveries)
    ada.type("/model list", thread_ts=card.ts)
    assert last_ephemeral(ada) == "`/model` is not supported in threads. Sorry!"
    ada.type("/modle list")
    assert last_ephemeral(ada) == "`/modle` is not a valid command."
    assert len(harness.deliveries) == before


def test_channel_without_the_bot_allows_commands_but_no_posts_or_mentions(
    harness: SlackAppHarness, ada: Person
) -> None:
    """After /invite the bot can post."""
    ada.type("/model list", channel="random")
    random = harness.last("command")["channel_id"]
    with pytest.raises(SlackApiError, match="not_in_channel"):
        harness.app.client.chat_postMessage(channel=random, text="x")
    ada.type("@seatrial hello", channel="random")
    assert "not in this channel" in last_ephemeral(ada)
    ada.type("/invite @seatrial", channel="random")
    harness.app.client.chat_postMessage(channel=random, text="thanks")
    assert ada.messages("random")[-1].plain == "thanks"


def test_response_url_accepts_five_answers(harness: SlackAppHarness, ada: Person) -> None:
    """The sixth is 404 used_url, an unknown URL is 404 expired_url, and an empty answer is 400."""
    ada.type("/model silent")
    url = harness.last("command")["response_url"]
    assert httpx.post(url, json={}).status_code == 400
    statuses = [httpx.post(url, json={"text": str(index)}).status_code for index in range(5)]
    assert statuses == [200, 200, 200, 200, 404]
    assert httpx.post(url, json={"text": "x"}).json() == {"ok": False, "error": "used_url"}
    assert httpx.post(url + "x", json={"text": "x"}).json() == {"ok": False, "error": "expired_url"}


def test_response_url_can_delete_the_original_message(harness: SlackAppHarness, ada: Person) -> None:
    card = harness.card()
    ada.click_button(card, "Go")
    clicks = wait_until(lambda: [b for n, b in harness.deliveries if n == "go" and b["message"]["ts"] == card.ts])
    httpx.post(clicks[0]["response_url"], json={"delete_original": True}).raise_for_status()
    assert ada.message(card.ts) is None
    ada.wait_for(ada.modal)
    ada.close_modal()


def test_actions_on_invisible_messages_and_by_unknown_members_are_refused(
    harness: SlackAppHarness, ada: Person
) -> None:
    client = harness.app.client
    ts = client.chat_postEphemeral(channel=ML_OPS, user=ADA.id, text="psst", blocks=BUTTONS)["message_ts"]
    psst = ada.message(ts)
    with pytest.raises(SlackRefusal, match="message_not_found"):
        harness.slack.person("Grace").click(psst, "go")
    with pytest.raises(SlackRefusal, match="action_not_found"):
        ada.click(psst, "nowhere")
    with pytest.raises(LookupError, match="Its buttons: Go"):
        ada.click_button(psst, "Stop")
    with pytest.raises(SlackRefusal, match="user_not_found"):
        harness.slack.person("Unknown").type("hello")
