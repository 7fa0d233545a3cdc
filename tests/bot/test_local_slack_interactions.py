"""What people do in the local Slack reaches a real Bolt app as Slack delivers it: signed HTTP, and Socket Mode."""

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
    """The same app, reached in both of Slack's ways."""
    with LocalSlack(SlackSettings(commands=COMMANDS, rate_limits=False)) as slack:
        seen: Deliveries = []
        app = build_app(seen, slack)
        if request.param == "http":
            server = waitress.create_server(SlackRequestHandler(app), host="127.0.0.1", port=0)
            threading.Thread(target=server.run, daemon=True).start()
            slack.request_url = f"http://127.0.0.1:{server.effective_port}/slack/events"
            yield SlackAppHarness(slack=slack, app=app, seen=seen)
            server.close()
            server.task_dispatcher.shutdown()
        else:
            handler = SocketModeHandler(app, slack.settings.app_token)
            handler.connect()
            wait_until(lambda: slack.server.socket_mode.is_connected)
            yield SlackAppHarness(slack=slack, app=app, seen=seen)
            handler.close()


@pytest.fixture
def ada(harness: SlackAppHarness) -> Person:
    """The member who types."""
    return harness.slack.person("Ada")


def last_ephemeral(person: Person) -> str:
    """What only this member was told last."""
    return person.ephemerals()[-1].plain


def test_a_command_arrives_whole_and_its_ack_is_seen_by_the_asker_only(harness: SlackAppHarness, ada: Person) -> None:
    """All fields of a slash command are there, &, < and > escaped, and the answer is ephemeral."""
    assert ada.type("/model  train iris <&> p95<200ms") == ""
    command = harness.last("command")
    assert command["text"] == "train iris &lt;&amp;&gt; p95&lt;200ms"
    assert (command["command"], command["channel_id"], command["channel_name"]) == ("/model", ML_OPS, "ml-ops")
    assert (command["user_id"], command["user_name"], command["is_enterprise_install"]) == (ADA.id, "ada", "false")
    assert {"team_id", "team_domain", "api_app_id", "token", "trigger_id", "response_url"} <= command.keys()
    assert last_ephemeral(ada).startswith("heard train")
    assert not any(one.plain.startswith("heard train") for one in harness.slack.person("Grace").ephemerals())


def test_a_command_may_be_answered_aloud_twice_or_not_at_all(harness: SlackAppHarness, ada: Person) -> None:
    """in_channel shows it to all, respond() adds to the ack, and an empty ack shows nothing."""
    ada.type("/model aloud")
    assert ada.messages()[-1].plain == "for all"
    ada.type("/model twice")
    ada.wait_for(lambda: {"first", "second"} <= {one.plain for one in ada.ephemerals()[-2:]})
    before = ada.ephemerals()
    assert ada.type("/model silent") == ""
    assert ada.ephemerals() == before


def test_an_ack_that_slack_cannot_show_is_an_error(harness: SlackAppHarness, ada: Person) -> None:
    """Bad blocks in the ack are told to the asker by the command's name and the error's."""
    assert ada.type("/model wrong") == "invalid_blocks"
    assert last_ephemeral(ada) == '`/model` failed with the error "invalid_blocks"'


def test_a_click_arrives_with_the_message_and_opens_a_modal(harness: SlackAppHarness, ada: Person) -> None:
    """block_actions carries who, where, which button and a trigger that is good for a modal."""
    card = harness.card()
    assert ada.click_button(card, "Go") == ""
    body = harness.last("go")
    action = body["actions"][0]
    assert (action["action_id"], action["value"], action["type"]) == ("go", "job-1", "button")
    assert (body["user"]["id"], body["channel"]["id"], body["message"]["ts"]) == (ADA.id, ML_OPS, card.ts)
    assert body["container"] == {
        "type": "message",
        "message_ts": card.ts,
        "channel_id": ML_OPS,
        "is_ephemeral": False,
    }
    assert ada.wait_for(ada.modal).title == "Run it"
    assert harness.slack.person("Grace").modal() is None
    ada.close_modal()


def test_a_choice_arrives_and_the_message_can_be_replaced(harness: SlackAppHarness, ada: Person) -> None:
    """A menu tells the option; respond(replace_original) puts the answer in the card's place."""
    card = harness.card()
    ada.click(card, "pick", "two")
    assert harness.last("pick")["actions"][0]["selected_option"]["value"] == "two"
    ada.wait_for(lambda: ada.message(card.ts).plain == "replaced")
    with pytest.raises(SlackRefusal, match="invalid_option"):
        ada.click(harness.card(), "pick", "three")


def open_modal(harness: SlackAppHarness, person: Person) -> None:
    """Press Go and waits for the form."""
    person.click_button(harness.card(), "Go")
    person.wait_for(person.modal)


def test_a_form_is_checked_sent_and_closed(harness: SlackAppHarness, ada: Person) -> None:
    """Slack itself asks for what is missing; the app's own complaints show; then values arrive by block and action."""
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


def test_a_button_in_a_form_brings_what_is_filled_in_so_far(harness: SlackAppHarness, ada: Person) -> None:
    """A click in a modal carries the view with its present values, and a trigger of its own."""
    open_modal(harness, ada)
    assert ada.click_in_modal("check", values={"why": "half"}) == ""
    body = harness.last("check")
    assert body["container"] == {"type": "view", "view_id": ada.modal().id}
    assert body["view"]["state"]["values"]["why"]["why"]["value"] == "half"
    assert body["trigger_id"]
    ada.close_modal()


def test_a_form_can_be_updated_pushed_and_cleared(harness: SlackAppHarness, ada: Person) -> None:
    """The app answers a submission with another view, one on top, or the end of all."""
    open_modal(harness, ada)
    ada.submit({"why": "other"})
    assert ada.modal().title == "Other"
    ada.submit({"why": "more"})
    assert ada.modal().title == "Sure?"
    ada.submit({"why": "yes"})
    assert ada.modal() is None


def test_closing_a_form_is_told_where_the_app_asked_for_it(harness: SlackAppHarness, ada: Person) -> None:
    """notify_on_close brings a view_closed."""
    open_modal(harness, ada)
    assert ada.close_modal() == ""
    assert harness.last("closed")["view"]["callback_id"] == "run"


def test_a_trigger_opens_one_view(harness: SlackAppHarness, ada: Person) -> None:
    """Used a second time it is exchanged_trigger_id."""
    open_modal(harness, ada)
    trigger_id = harness.last("go")["trigger_id"]
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        harness.app.client.views_open(trigger_id=trigger_id, view=modal("Again", "run"))
    ada.close_modal()


def test_a_mention_arrives_also_from_a_thread(harness: SlackAppHarness, ada: Person) -> None:
    """`@seatrial` becomes the bot's user id, the rest is escaped, and the thread is told."""
    card = harness.card()
    ada.type("@seatrial cancel <now> @Grace #random", thread_ts=card.ts)
    mentions = wait_until(lambda: [e for n, e in harness.seen if n == "mention" and e.get("thread_ts") == card.ts])
    event = mentions[0]
    assert event["text"].startswith("<@U0SEATRIAL1> cancel &lt;now&gt; <@U0GRC9H2VX3> <#C0RANDOM4K8|random>")
    assert (event["user"], event["channel"]) == (ADA.id, ML_OPS)
    ada.wait_for(lambda: [one for one in ada.thread(card) if one.plain == "yes?"])


def test_the_home_tab_is_published_when_it_is_opened(harness: SlackAppHarness, ada: Person) -> None:
    """app_home_opened reaches the app, and views.publish the member."""
    ada.open_home()
    harness.last("home")
    assert "Welcome" in ada.wait_for(ada.home).plain


def test_a_stranger_may_click_but_has_no_commands(harness: SlackAppHarness) -> None:
    """A Slack Connect member's click names their own team; the app's slash commands are not theirs."""
    sybil = harness.slack.person("Sybil")
    sybil.click_button(harness.card("Sybil"), "Go")
    clicks = wait_until(lambda: [b for n, b in harness.seen if n == "go" and b["user"]["id"] == SYBIL.id])
    assert clicks[0]["user"]["team_id"] == SYBIL.team_id != clicks[0]["team"]["id"]
    sybil.type("/model list")
    assert "not a valid command" in last_ephemeral(sybil)


def test_slack_itself_refuses_commands_in_threads_and_unknown_ones(harness: SlackAppHarness, ada: Person) -> None:
    """Neither reaches the app; the person is told why."""
    card, before = harness.card(), len(harness.seen)
    ada.type("/model list", thread_ts=card.ts)
    assert last_ephemeral(ada) == "`/model` is not supported in threads. Sorry!"
    ada.type("/modle list")
    assert last_ephemeral(ada) == "`/modle` is not a valid command."
    assert len(harness.seen) == before


def test_commands_work_where_the_bot_is_not_but_posting_and_mentions_need_an_invitation(
    harness: SlackAppHarness, ada: Person
) -> None:
    """In #random the app hears commands, may not post until /invite, and hears no mention before."""
    ada.type("/model list", channel="random")
    random = harness.last("command")["channel_id"]
    with pytest.raises(SlackApiError, match="not_in_channel"):
        harness.app.client.chat_postMessage(channel=random, text="x")
    ada.type("@seatrial hello", channel="random")
    assert "not in this channel" in last_ephemeral(ada)
    ada.type("/invite @seatrial", channel="random")
    harness.app.client.chat_postMessage(channel=random, text="thanks")
    assert ada.messages("random")[-1].plain == "thanks"


def test_a_response_url_is_good_for_five_answers(harness: SlackAppHarness, ada: Person) -> None:
    """The sixth is 404 used_url; an address that never was is 404 too; nonsense is 400."""
    ada.type("/model silent")
    url = harness.last("command")["response_url"]
    assert httpx.post(url, json={}).status_code == 400
    statuses = [httpx.post(url, json={"text": str(index)}).status_code for index in range(5)]
    assert statuses == [200, 200, 200, 200, 404]
    assert httpx.post(url, json={"text": "x"}).json() == {"ok": False, "error": "used_url"}
    assert httpx.post(url + "x", json={"text": "x"}).json() == {"ok": False, "error": "expired_url"}


def test_a_response_url_can_delete_the_original(harness: SlackAppHarness, ada: Person) -> None:
    """delete_original takes the message away on which the click was."""
    card = harness.card()
    ada.click_button(card, "Go")
    clicks = wait_until(lambda: [b for n, b in harness.seen if n == "go" and b["message"]["ts"] == card.ts])
    httpx.post(clicks[0]["response_url"], json={"delete_original": True}).raise_for_status()
    assert ada.message(card.ts) is None
    ada.wait_for(ada.modal)
    ada.close_modal()


def test_people_see_and_do_only_what_is_theirs(harness: SlackAppHarness, ada: Person) -> None:
    """Another member's ephemeral cannot be clicked, and an unknown member can do nothing."""
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
        harness.slack.person("Nobody").type("hello")
