"""Members' actions on the local Slack's page, in a browser."""

import base64
import threading
from collections.abc import Callable
from typing import Any

import pytest
import waitress
from playwright.sync_api import Browser, Page, expect
from slack_bolt import App
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient

from bot.local_slack.members import ADA, GRACE
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.slack_app_harness import COMMANDS
from tests.browser.page import ML_OPS, message_on, post

pytestmark = pytest.mark.chromium
OpenPage = Callable[..., Page]
# A PNG of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_edit_keeps_draft_thread_and_scroll_position(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    card = post(client, "first state")
    post(client, "detail", thread_ts=card)
    for index in range(30):
        post(client, f"line {index}\nand another")
    page = open_page(slack.url)
    message_on(page, card).scroll_into_view_if_needed()
    message_on(page, card).get_by_role("button", name="1 reply").click()
    expect(page.locator("#thread-list")).to_contain_text("detail")
    page.locator("#thread-composer textarea").fill("half a thought")
    page.locator("#list").evaluate("list => list.scrollTop = 40")
    expect(page.locator("#jump")).to_be_hidden()
    client.chat_update(channel=ML_OPS, ts=card, text="second state")
    post(client, "one more at the end")
    expect(message_on(page, card)).to_contain_text("second state (edited)")
    expect(page.locator("#jump")).to_be_visible()
    assert page.locator("#list").evaluate("list => list.scrollTop") == 40
    assert page.locator("#thread-composer textarea").input_value() == "half a thought"
    assert page.locator("#thread-composer textarea").evaluate("field => field === document.activeElement")
    page.locator("#jump").click()
    expect(page.get_by_text("one more at the end")).to_be_in_viewport()


def test_composer_posts_messages_and_completes_commands(slack: LocalSlack, open_page: OpenPage) -> None:
    """Only its author sees the error for an unknown command."""
    page, grace = open_page(slack.url), slack.person("Grace")
    field = page.locator("#composer textarea")
    field.fill("hello <b>& all</b>")
    field.press("Enter")
    expect(page.locator("#list article").last).to_contain_text("hello <b>& all</b>")
    assert grace.messages()[-1].text == "hello &lt;b&gt;&amp; all&lt;/b&gt;"
    field.press_sequentially("/loa")
    field.press("Tab")
    assert field.input_value() == "/loadtest "
    field.fill("/lodtest 5")
    field.press("Enter")
    last = page.locator("#list article").last
    expect(last).to_contain_text("Only visible to you")
    expect(last).to_contain_text("/lodtest is not a valid command")
    assert grace.ephemerals() == ()


def test_composer_lists_the_commands_of_the_manifest_with_their_usage(slack: LocalSlack, open_page: OpenPage) -> None:
    """The marked command, and later the command in the field, shows its usage."""
    page = open_page(slack.url)
    field = page.locator("#composer textarea")
    field.press_sequentially("/")
    expect(page.locator(".suggestion b")).to_have_text([*(one.command for one in COMMANDS), "/invite"])
    expect(page.locator(".suggestion small").first).to_have_text(COMMANDS[0].description)
    field.press_sequentially("seatr")
    forms = [f"/seatrial {form}" for form in COMMANDS[-1].usage_hint.split(" | ")]
    expect(page.locator(".suggestion")).to_have_count(1)
    expect(page.locator(".suggestion .usage code")).to_have_text(forms)
    field.press("Tab")
    expect(page.locator("#composer .composer-usage code")).to_have_text(forms)
    field.fill("")
    expect(page.locator("#composer .composer-usage")).to_be_hidden()


def test_member_switch_shows_the_view_of_the_other_member(
    slack: LocalSlack, client: WebClient, open_page: OpenPage
) -> None:
    client.chat_postEphemeral(channel=ML_OPS, user=ADA.id, text="for Ada only")
    page = open_page(slack.url)
    expect(page.get_by_text("for Ada only")).to_have_count(1)
    page.locator("#identity").click()
    page.get_by_role("menuitem", name="Grace Hopper").click()
    expect(page.locator("#identity")).to_contain_text("Grace Hopper")
    expect(page.get_by_text("for Ada only")).to_have_count(0)
    page.locator("#composer textarea").fill("Grace here")
    page.locator("#composer textarea").press("Enter")
    expect(page.locator("#list article").last).to_contain_text("Grace here")
    assert slack.person("Ada").messages()[-1].user == GRACE.id


def test_failed_click_shows_a_note_after_its_confirmation(
    slack: LocalSlack, client: WebClient, open_page: OpenPage
) -> None:

    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    confirm = {"title": plain("Sure?"), "text": plain("It stops."), "confirm": plain("Stop it"), "deny": plain("No")}
    button = {"type": "button", "text": plain("Stop"), "action_id": "stop", "confirm": confirm}
    ts = post(client, blocks=[{"type": "actions", "elements": [button]}])
    page = open_page(slack.url)
    message_on(page, ts).get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_contain_text("It stops.")
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator(".toast")).to_contain_text("dispatch_failed")


FORM = {
    "type": "modal",
    "callback_id": "form",
    "title": {"type": "plain_text", "text": "New load test"},
    "submit": {"type": "plain_text", "text": "Start"},
    "blocks": [
        {
            "type": "input",
            "block_id": name,
            "label": {"type": "plain_text", "text": name},
            "element": {"action_id": "value", **element},
        }
        for name, element in {
            "rate": {"type": "number_input", "is_decimal_allowed": False},
            "why": {"type": "plain_text_input", "multiline": True},
            "env": {
                "type": "static_select",
                "options": [{"text": {"type": "plain_text", "text": "staging"}, "value": "s"}],
            },
        }.items()
    ],
}


def form_app(slack: LocalSlack, views: list[dict[str, Any]]) -> App:
    """Return an app that opens FORM on /loadtest; it appends the opened view and the submitted one to `views`."""
    client = WebClient(token=slack.settings.bot_token, base_url=slack.api_url)
    app = App(client=client, signing_secret=slack.settings.signing_secret)

    @app.command("/loadtest")
    def open_form(ack: Any, command: dict[str, Any]) -> None:
        ack()
        views.append(client.views_open(trigger_id=command["trigger_id"], view=FORM)["view"])

    @app.view("form")
    def submit(ack: Any, view: dict[str, Any]) -> None:
        views.append(view)
        ack()

    return app


def test_modal_keeps_values_during_an_update_and_is_submitted(open_page: OpenPage) -> None:
    """Missing values are marked first."""
    views: list[dict[str, Any]] = []
    with LocalSlack(SlackSettings(commands=COMMANDS)) as slack:
        app = form_app(slack, views)
        server = waitress.create_server(SlackRequestHandler(app), host="127.0.0.1", port=0)
        threading.Thread(target=server.run, daemon=True).start()
        slack.request_url = f"http://127.0.0.1:{server.effective_port}/slack/events"
        page = open_page(slack.url)
        page.locator("#composer textarea").fill("/loadtest")
        page.locator("#composer textarea").press("Enter")
        form = page.get_by_role("dialog")
        expect(form).to_contain_text("New load test")
        form.get_by_label("why").fill("because")
        form.get_by_role("button", name="Start").click()
        expect(form.locator(".field-error")).to_have_count(2)
        app.client.views_update(
            view_id=views[0]["id"], view=FORM | {"title": {"type": "plain_text", "text": "Updated"}}
        )
        expect(form).to_contain_text("Updated")
        form.get_by_label("rate").fill("1000")
        form.get_by_label("env").select_option("staging")
        form.get_by_role("button", name="Start").click()
        expect(form).to_have_count(0)
        server.close()
    values = {name: state["value"] for name, state in views[1]["state"]["values"].items()}
    assert (values["rate"]["value"], values["why"]["value"]) == ("1000", "because")
    assert values["env"]["selected_option"]["value"] == "s"


def test_picture_can_be_enlarged_and_file_downloaded(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    client.files_upload_v2(channel=ML_OPS, filename="chart.png", title="The chart", content=PIXEL)
    client.files_upload_v2(channel=ML_OPS, filename="report.html", title="The report", content="<h1>report</h1>")
    page = open_page(slack.url)
    picture = page.locator(".file-picture img").last
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    page.get_by_role("button", name="Enlarge The chart").last.click()
    expect(page.locator(".lightbox")).to_be_visible()
    page.locator(".lightbox").click()
    expect(page.locator(".lightbox")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="The report").last.click()
    assert download.value.path().read_text() == "<h1>report</h1>"


def test_permalink_scrolls_to_the_message(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    ts = post(client, "the one that is meant")
    for index in range(30):
        post(client, f"filler {index}\nand another")
    link = client.chat_getPermalink(channel=ML_OPS, message_ts=ts)["permalink"]
    expect(message_on(open_page(str(link)), ts)).to_be_in_viewport()


def test_page_fits_a_phone(slack: LocalSlack, client: WebClient, open_page: OpenPage) -> None:
    """At 360 pixels the page does not scroll sideways, and the channels are one tap away."""
    ts = post(client, "on a phone")
    page = open_page(f"{slack.url}/?as=grace", width=360, height=700)
    expect(message_on(page, ts)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name="Channels").click()
    page.get_by_role("button", name="random").click()
    expect(page.locator("#place")).to_have_text("#random")


def test_page_makes_no_outside_requests(slack: LocalSlack, chromium: Browser) -> None:
    page = chromium.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(slack.url)
    page.locator("#composer textarea").wait_for()
    page.close()
    assert requests and all(url.startswith(slack.url) for url in requests)
