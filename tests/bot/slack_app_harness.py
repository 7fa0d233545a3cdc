"""Apps for tests of the local Slack: a Bolt app with all kinds of listeners, and an HTTP server that can fail."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from slack_bolt import App
from slack_sdk import WebClient

from bot.local_slack.members import slash_commands
from bot.local_slack.person import VisibleMessage
from bot.local_slack.server_thread import LocalSlack
from bot.manifest import manifest
from tests.waiting import wait_until

ML_OPS = "C0MLOPS7X21"
COMMANDS = slash_commands(manifest(request_url=None))
# (kind, body) of each delivery to an app, in order.
Deliveries = list[tuple[str, dict[str, Any]]]


class Clock:
    """A clock that tests set."""

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
    """Return a modal with a required text, a number, a menu and checkboxes."""
    choice = [{"text": {"type": "plain_text", "text": name}, "value": name} for name in ("staging", "production")]
    elements = {
        "why": {"type": "plain_text_input", "min_length": 3},
        "rate": {"type": "number_input", "is_decimal_allowed": False, "min_value": "1", "initial_value": "1000"},
        "env": {"type": "static_select", "options": choice, "initial_option": choice[0]},
        "flags": {"type": "checkboxes", "options": choice},
    }
    check = {"type": "button", "action_id": "check", "text": {"type": "plain_text", "text": "Check"}}
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
        ]
        + [{"type": "actions", "elements": [check]}],
    }


@dataclass(kw_only=True)
class SlackAppHarness:
    """A local Slack and a Bolt app that is connected to it; `deliveries` are the kind and body of all deliveries."""

    slack: LocalSlack
    app: App
    deliveries: Deliveries = field(default_factory=list)

    def last(self, kind: str) -> dict[str, Any]:
        """Wait for a delivery of this kind, and return the newest body."""
        return wait_until(lambda: [body for name, body in self.deliveries if name == kind])[-1]

    def card(self, member: str = "Ada") -> VisibleMessage:
        """Post a card with buttons, and return it as a member sees it."""
        ts = self.app.client.chat_postMessage(channel=ML_OPS, text="card", blocks=BUTTONS)["ts"]
        card = self.slack.person(member).message(ts)
        assert card is not None
        return card


def build_app(deliveries: Deliveries, slack: LocalSlack) -> App:
    """Return a Bolt app that appends to `deliveries` and responds in all ways that Slack allows."""
    client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
    app = App(client=client, signing_secret=slack.settings.signing_secret)
    _listen_to_commands(app, deliveries)
    _listen_to_clicks(app, deliveries)
    _listen_to_forms(app, deliveries)
    _listen_to_events(app, deliveries)
    return app


def _listen_to_commands(app: App, deliveries: Deliveries) -> None:
    @app.command("/model")
    def model(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        deliveries.append(("command", command))
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


def _listen_to_clicks(app: App, deliveries: Deliveries) -> None:
    @app.action("go")
    def go(ack: Any, body: dict[str, Any], respond: Any, client: WebClient) -> None:
        deliveries.append(("go", body))
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=modal("Run it", "run"))

    @app.action("pick")
    def pick(ack: Any, body: dict[str, Any], respond: Any) -> None:
        deliveries.append(("pick", body))
        ack()
        respond(replace_original=True, text="replaced")

    @app.action("check")
    def check(ack: Any, body: dict[str, Any]) -> None:
        deliveries.append(("check", body))
        ack()


def _listen_to_forms(app: App, deliveries: Deliveries) -> None:
    @app.view("run")
    def run(ack: Any, body: dict[str, Any]) -> None:
        deliveries.append(("submission", body))
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
        deliveries.append(("closed", body))
        ack()


def _listen_to_events(app: App, deliveries: Deliveries) -> None:
    @app.event("app_mention")
    def mentioned(event: dict[str, Any], say: Any) -> None:
        deliveries.append(("mention", event))
        say(text="yes?", thread_ts=event.get("thread_ts") or event["ts"])

    @app.event("app_home_opened")
    def home(event: dict[str, Any], client: WebClient) -> None:
        view = {"type": "home", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Welcome"}}]}
        client.views_publish(user_id=event["user"], view=view)
        deliveries.append(("home", event))


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A received request; header names are in lower case."""

    headers: dict[str, str]
    body: bytes


class RecordingServer:
    """An HTTP server that records requests, and answers the given statuses in turn, then 200."""

    def __init__(self, *statuses: int, headers: dict[str, str] | None = None, hold_s: float = 0.0) -> None:
        self.requests: list[Received] = []
        remaining = list(statuses)
        server = self

        class RecordingHandler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent = {name.lower(): value for name, value in self.headers.items()}
                server.requests.append(Received(headers=sent, body=body))
                server.released.wait(hold_s)
                self.send_response(remaining.pop(0) if remaining else 200)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test output clean."""

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), RecordingHandler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/slack/events"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
