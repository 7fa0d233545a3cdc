"""What people do in the local Slack reaches a real Bolt app as Slack delivers it: signed HTTP, and Socket Mode."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs

import httpx
import pytest
import waitress
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier

from bot.local_slack.members import ADA, SYBIL
from bot.local_slack.person import Message, Person
from bot.local_slack.refusal import Refusal
from bot.local_slack.running import LocalSlack
from bot.local_slack.server import SlackSettings

ML_OPS = "C0MLOPS7X21"
Seen = TypeVar("Seen")


def wait_until(look: Callable[[], Seen | None], timeout_s: float = 10.0) -> Seen:
    """Polls until `look` returns something true."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)
    return found


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


BUTTONS = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*card*"}},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "go", "value": "job-1", "text": {"type": "plain_text", "text": "Go"}},
            {
                "type": "static_select",
                "action_id": "pick",
                "options": [{"text": {"type": "plain_text", "text": name}, "value": name} for name in ("one", "two")],
            },
        ],
    },
]


def modal(title: str, callback_id: str) -> dict[str, Any]:
    """A form with a required text, a number, a choice and checkboxes."""
    choice = [{"text": {"type": "plain_text", "text": name}, "value": name} for name in ("staging", "production")]
    elements = {
        "why": {"type": "plain_text_input", "min_length": 3},
        "rate": {"type": "number_input", "is_decimal_allowed": False, "min_value": "1", "initial_value": "1000"},
        "env": {"type": "static_select", "options": choice, "initial_option": choice[0]},
        "flags": {"type": "checkboxes", "options": choice},
    }
    return {
        "type": "modal",
        "callback_id": callback_id,
        "notify_on_close": True,
        "title": {"type": "plain_text", "text": title},
        "submit": {"type": "plain_text", "text": "Run"},
        "blocks": [
            {
                "type": "input",
                "block_id": name,
                "optional": name == "flags",
                "label": {"type": "plain_text", "text": name},
                "element": element | {"action_id": name},
            }
            for name, element in elements.items()
        ],
    }


@dataclass(kw_only=True)
class Workshop:
    """A local Slack and a Bolt app that is connected to it; `seen` keeps what the app was sent, by kind."""

    slack: LocalSlack
    app: App
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def last(self, kind: str) -> dict[str, Any]:
        """Waits for the app to be sent a thing of this kind; returns the newest."""
        return wait_until(lambda: [body for name, body in self.seen if name == kind])[-1]

    def card(self, member: str = "Ada") -> Message:
        """Posts a card with buttons and returns it as a member sees it."""
        ts = self.app.client.chat_postMessage(channel=ML_OPS, text="card", blocks=BUTTONS)["ts"]
        card = self.slack.person(member).message(ts)
        assert card is not None
        return card


def build_app(workshop_seen: list[tuple[str, dict[str, Any]]], slack: LocalSlack) -> App:
    """A Bolt app that keeps what it is sent and answers in every way that an app may."""
    settings = slack.settings
    client = WebClient(token=settings.bot_token, base_url=slack.api_url)
    app = App(client=client, signing_secret=settings.signing_secret)

    @app.command("/model")
    def model(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        workshop_seen.append(("command", command))
        match command["text"]:
            case "aloud":
                ack({"response_type": "in_channel", "text": "for all"})
            case "wrong":
                ack({"blocks": [{"type": "dog"}]})
            case "twice":
                ack("first")
                respond("second")
            case "silent":
                ack()
            case "crash":
                raise RuntimeError("meant")
            case text:
                ack(f"heard {text}")

    @app.action("go")
    def go(ack: Any, body: dict[str, Any], respond: Any, client: WebClient) -> None:
        workshop_seen.append(("go", body))
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=modal("Run it", "run"))

    @app.action("pick")
    def pick(ack: Any, body: dict[str, Any], respond: Any) -> None:
        workshop_seen.append(("pick", body))
        ack()
        respond(replace_original=True, text="replaced")

    @app.view("run")
    def run(ack: Any, body: dict[str, Any]) -> None:
        workshop_seen.append(("submission", body))
        match body["view"]["state"]["values"]["why"]["why"]["value"]:
            case "bad":
                ack(response_action="errors", errors={"why": "Not a reason."})
            case "more":
                ack(response_action="push", view=modal("Sure?", "sure"))
            case "other":
                ack(response_action="update", view=modal("Other", "run"))
            case _:
                ack()

    @app.view("sure")
    def sure(ack: Any) -> None:
        ack(response_action="clear")

    @app.view_closed("run")
    def closed(ack: Any, body: dict[str, Any]) -> None:
        workshop_seen.append(("closed", body))
        ack()

    @app.event("app_mention")
    def mentioned(event: dict[str, Any], say: Any) -> None:
        workshop_seen.append(("mention", event))
        say(text="yes?", thread_ts=event.get("thread_ts") or event["ts"])

    @app.event("app_home_opened")
    def home(event: dict[str, Any], client: WebClient) -> None:
        view = {"type": "home", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Welcome"}}]}
        client.views_publish(user_id=event["user"], view=view)
        workshop_seen.append(("home", event))

    return app


@pytest.fixture(scope="module", params=["http", "socket mode"])
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """The same app, reached in both of Slack's ways."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        seen: list[tuple[str, dict[str, Any]]] = []
        app = build_app(seen, slack)
        if request.param == "http":
            server = waitress.create_server(SlackRequestHandler(app), host="127.0.0.1", port=0)
            threading.Thread(target=server.run, daemon=True).start()
            slack.request_url = f"http://127.0.0.1:{server.effective_port}/slack/events"
            yield Workshop(slack=slack, app=app, seen=seen)
            server.close()
            server.task_dispatcher.shutdown()
        else:
            handler = SocketModeHandler(app, slack.settings.app_token)
            handler.connect()
            wait_until(lambda: slack.server.socket_mode.is_connected)
            yield Workshop(slack=slack, app=app, seen=seen)
            handler.close()


@pytest.fixture
def ada(workshop: Workshop) -> Person:
    """The member who types."""
    return workshop.slack.person("Ada")


def last_ephemeral(person: Person) -> str:
    """What only this member was told last."""
    return person.ephemerals()[-1].plain


def test_a_command_arrives_whole_and_its_ack_is_seen_by_the_asker_only(workshop: Workshop, ada: Person) -> None:
    """All fields of a slash command are there, &, < and > escaped, and the answer is ephemeral."""
    assert ada.type("/model  train iris <&> p95<200ms") == ""
    command = workshop.last("command")
    assert command["text"] == "train iris &lt;&amp;&gt; p95&lt;200ms"
    assert (command["command"], command["channel_id"], command["channel_name"]) == ("/model", ML_OPS, "ml-ops")
    assert (command["user_id"], command["user_name"], command["is_enterprise_install"]) == (ADA.id, "ada", "false")
    assert {"team_id", "team_domain", "api_app_id", "token", "trigger_id", "response_url"} <= command.keys()
    assert last_ephemeral(ada).startswith("heard train")
    assert not any(one.plain.startswith("heard train") for one in workshop.slack.person("Grace").ephemerals())


def test_a_command_may_be_answered_aloud_twice_or_not_at_all(workshop: Workshop, ada: Person) -> None:
    """in_channel shows it to all, respond() adds to the ack, and an empty ack shows nothing."""
    ada.type("/model aloud")
    assert ada.messages()[-1].plain == "for all"
    ada.type("/model twice")
    ada.wait_for(lambda: {"first", "second"} <= {one.plain for one in ada.ephemerals()[-2:]})
    before = ada.ephemerals()
    assert ada.type("/model silent") == ""
    assert ada.ephemerals() == before


def test_an_ack_that_slack_cannot_show_is_an_error(workshop: Workshop, ada: Person) -> None:
    """Bad blocks in the ack are told to the asker by the command's name and the error's."""
    assert ada.type("/model wrong") == "invalid_blocks"
    assert last_ephemeral(ada) == '`/model` failed with the error "invalid_blocks"'


def test_a_click_arrives_with_the_message_and_opens_a_modal(workshop: Workshop, ada: Person) -> None:
    """block_actions carries who, where, which button and a trigger that is good for a modal."""
    card = workshop.card()
    assert ada.click_button(card, "Go") == ""
    body = workshop.last("go")
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
    assert workshop.slack.person("Grace").modal() is None
    ada.close_modal()


def test_a_choice_arrives_and_the_message_can_be_replaced(workshop: Workshop, ada: Person) -> None:
    """A menu tells the option; respond(replace_original) puts the answer in the card's place."""
    card = workshop.card()
    ada.click(card, "pick", "two")
    assert workshop.last("pick")["actions"][0]["selected_option"]["value"] == "two"
    ada.wait_for(lambda: ada.message(card.ts).plain == "replaced")
    with pytest.raises(Refusal, match="invalid_option"):
        ada.click(workshop.card(), "pick", "three")


def open_modal(workshop: Workshop, person: Person) -> None:
    """Presses Go and waits for the form."""
    person.click_button(workshop.card(), "Go")
    person.wait_for(person.modal)


def test_a_form_is_checked_sent_and_closed(workshop: Workshop, ada: Person) -> None:
    """Slack itself asks for what is missing; the app's own complaints show; then values arrive by block and action."""
    open_modal(workshop, ada)
    assert ada.submit() == {"why": "Please complete this required field."}
    assert ada.submit({"why": "x"}) == {"why": "Please write at least 3 characters."}
    assert ada.submit({"why": "bad", "rate": "0"}) == {"rate": "Please enter at least 1."}
    assert ada.submit({"why": "bad"}) == {"why": "Not a reason."}
    assert ada.submit({"why": "good", "env": "production", "flags": ["staging"]}) == {}
    values = workshop.last("submission")["view"]["state"]["values"]
    assert values["why"]["why"] == {"type": "plain_text_input", "value": "good"}
    assert values["rate"]["rate"]["value"] == "1000"
    assert values["env"]["env"]["selected_option"]["value"] == "production"
    assert [one["value"] for one in values["flags"]["flags"]["selected_options"]] == ["staging"]
    assert ada.modal() is None


def test_a_form_can_be_updated_pushed_and_cleared(workshop: Workshop, ada: Person) -> None:
    """The app answers a submission with another view, one on top, or the end of all."""
    open_modal(workshop, ada)
    ada.submit({"why": "other"})
    assert ada.modal().title == "Other"
    ada.submit({"why": "more"})
    assert ada.modal().title == "Sure?"
    ada.submit({"why": "yes"})
    assert ada.modal() is None


def test_closing_a_form_is_told_where_the_app_asked_for_it(workshop: Workshop, ada: Person) -> None:
    """notify_on_close brings a view_closed."""
    open_modal(workshop, ada)
    assert ada.close_modal() == ""
    assert workshop.last("closed")["view"]["callback_id"] == "run"


def test_a_trigger_opens_one_view(workshop: Workshop, ada: Person) -> None:
    """Used a second time it is exchanged_trigger_id."""
    open_modal(workshop, ada)
    trigger_id = workshop.last("go")["trigger_id"]
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        workshop.app.client.views_open(trigger_id=trigger_id, view=modal("Again", "run"))
    ada.close_modal()


def test_a_mention_arrives_also_from_a_thread(workshop: Workshop, ada: Person) -> None:
    """`@seatrial` becomes the bot's user id, the rest is escaped, and the thread is told."""
    card = workshop.card()
    ada.type("@seatrial cancel <now> @Grace #random", thread_ts=card.ts)
    mentions = wait_until(lambda: [e for n, e in workshop.seen if n == "mention" and e.get("thread_ts") == card.ts])
    event = mentions[0]
    assert event["text"].startswith("<@U0SEATRIAL1> cancel &lt;now&gt; <@U0GRC9H2VX3> <#C0RANDOM4K8|random>")
    assert (event["user"], event["channel"]) == (ADA.id, ML_OPS)
    ada.wait_for(lambda: [one for one in ada.thread(card) if one.plain == "yes?"])


def test_the_home_tab_is_published_when_it_is_opened(workshop: Workshop, ada: Person) -> None:
    """app_home_opened reaches the app, and views.publish the member."""
    ada.open_home()
    workshop.last("home")
    assert "Welcome" in ada.wait_for(ada.home).plain


def test_a_stranger_may_click_but_has_no_commands(workshop: Workshop) -> None:
    """A Slack Connect member's click names their own team; the app's slash commands are not theirs."""
    sybil = workshop.slack.person("Sybil")
    sybil.click_button(workshop.card("Sybil"), "Go")
    clicks = wait_until(lambda: [b for n, b in workshop.seen if n == "go" and b["user"]["id"] == SYBIL.id])
    assert clicks[0]["user"]["team_id"] == SYBIL.team_id != clicks[0]["team"]["id"]
    sybil.type("/model list")
    assert "not a valid command" in last_ephemeral(sybil)


def test_slack_itself_refuses_commands_in_threads_and_unknown_ones(workshop: Workshop, ada: Person) -> None:
    """Neither reaches the app; the person is told why."""
    card, before = workshop.card(), len(workshop.seen)
    ada.type("/model list", thread_ts=card.ts)
    assert last_ephemeral(ada) == "`/model` is not supported in threads. Sorry!"
    ada.type("/modle list")
    assert last_ephemeral(ada) == "`/modle` is not a valid command."
    assert len(workshop.seen) == before


def test_commands_work_where_the_bot_is_not_but_posting_and_mentions_need_an_invitation(
    workshop: Workshop, ada: Person
) -> None:
    """In #random the app hears commands, may not post until /invite, and hears no mention before."""
    ada.type("/model list", channel="random")
    random = workshop.last("command")["channel_id"]
    with pytest.raises(SlackApiError, match="not_in_channel"):
        workshop.app.client.chat_postMessage(channel=random, text="x")
    ada.type("@seatrial hello", channel="random")
    assert "not in this channel" in last_ephemeral(ada)
    ada.type("/invite @seatrial", channel="random")
    workshop.app.client.chat_postMessage(channel=random, text="thanks")
    assert ada.messages("random")[-1].plain == "thanks"


def test_a_response_url_is_good_for_five_answers(workshop: Workshop, ada: Person) -> None:
    """The sixth is 404 used_url; an address that never was is 404 too; nonsense is 400."""
    ada.type("/model silent")
    url = workshop.last("command")["response_url"]
    assert httpx.post(url, json={}).status_code == 400
    statuses = [httpx.post(url, json={"text": str(index)}).status_code for index in range(5)]
    assert statuses == [200, 200, 200, 200, 404]
    assert httpx.post(url, json={"text": "x"}).json() == {"ok": False, "error": "used_url"}
    assert httpx.post(url + "x", json={"text": "x"}).json() == {"ok": False, "error": "expired_url"}


def test_a_response_url_can_delete_the_original(workshop: Workshop, ada: Person) -> None:
    """delete_original takes the message away on which the click was."""
    card = workshop.card()
    ada.click_button(card, "Go")
    clicks = wait_until(lambda: [b for n, b in workshop.seen if n == "go" and b["message"]["ts"] == card.ts])
    httpx.post(clicks[0]["response_url"], json={"delete_original": True}).raise_for_status()
    assert ada.message(card.ts) is None
    ada.wait_for(ada.modal)
    ada.close_modal()


def test_triggers_and_response_urls_run_out() -> None:
    """A trigger lives 3 s, a response URL 30 minutes."""
    clock = Clock()
    with LocalSlack(SlackSettings(clock=clock)) as slack, Endpoint() as endpoint:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes


class Endpoint:
    """An HTTP server that keeps what it is sent and answers with the given statuses in turn, then with 200."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None, hold_s: float = 0.0) -> None:
        self.requests: list[Received] = []
        remaining = list(statuses)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent = {name.lower(): value for name, value in self.headers.items()}
                endpoint.requests.append(Received(headers=sent, body=body))
                endpoint.released.wait(hold_s)
                self.send_response(remaining.pop(0) if remaining else 200)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/slack/events"

    def __enter__(self) -> Endpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def test_every_delivery_is_signed() -> None:
    """The signature is Slack's v0 over timestamp and raw body, with the secret that both sides know."""
    with LocalSlack(SlackSettings(signing_secret="s3cret")) as slack, Endpoint() as endpoint:
        slack.request_url = endpoint.url
        slack.person("Ada").type("/model list")
        received = endpoint.requests[0]
        assert SignatureVerifier("s3cret").is_valid_request(received.body, received.headers)
        assert not SignatureVerifier("other").is_valid_request(received.body, received.headers)
        assert received.headers["content-type"] == "application/x-www-form-urlencoded"


def test_an_app_that_is_slow_away_or_broken_is_told_to_whoever_typed() -> None:
    """Slack's own sentence, with operation_timeout or dispatch_failed, to that one member."""
    with LocalSlack(SlackSettings(deadline_s=0.3)) as slack:
        ada = slack.person("Ada")
        assert ada.type("/model list") == "dispatch_failed"
        assert last_ephemeral(ada) == '`/model` failed with the error "dispatch_failed"'
        with Endpoint(500) as endpoint:
            slack.request_url = endpoint.url
            assert ada.type("/model list") == "dispatch_failed"
        assert ada.type("/model list") == "dispatch_failed"
        with Endpoint(hold_s=5) as endpoint:
            slack.request_url = endpoint.url
            assert ada.type("/model list") == "operation_timeout"
            assert last_ephemeral(ada) == '`/model` failed with the error "operation_timeout"'
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
    with LocalSlack() as slack:
        seen: list[tuple[str, dict[str, Any]]] = []
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
    with LocalSlack(SlackSettings(deadline_s=0.3)) as slack:
        handler = SocketModeHandler(build_app([], slack), slack.settings.app_token)
        handler.connect()
        wait_until(lambda: slack.server.socket_mode.is_connected)
        ada = slack.person("Ada")
        assert ada.type("/model crash") == "operation_timeout"
        handler.close()


def test_people_see_and_do_only_what_is_theirs(workshop: Workshop, ada: Person) -> None:
    """Another member's ephemeral cannot be clicked, and an unknown member can do nothing."""
    client = workshop.app.client
    ts = client.chat_postEphemeral(channel=ML_OPS, user=ADA.id, text="psst", blocks=BUTTONS)["message_ts"]
    psst = ada.message(ts)
    with pytest.raises(Refusal, match="message_not_found"):
        workshop.slack.person("Grace").click(psst, "go")
    with pytest.raises(Refusal, match="action_not_found"):
        ada.click(psst, "nowhere")
    with pytest.raises(LookupError, match="there are: Go"):
        ada.click_button(psst, "Stop")
    with pytest.raises(Refusal, match="user_not_found"):
        workshop.slack.person("Nobody").type("hello")
