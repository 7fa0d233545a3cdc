"""Web API of the local Slack, called through slack_sdk as the bot does."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.local_slack.members import ADA, GRACE, MALLORY, SYBIL
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack

ML_OPS = "C0MLOPS7X21"
RANDOM = "C0RANDOM4K8"
BOT_TOKEN = SlackSettings().bot_token
APP_TOKEN = SlackSettings().app_token


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    """Yield one local Slack for all tests, without rate limits."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        yield slack


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    """Return the bot's client."""
    return WebClient(token=BOT_TOKEN, base_url=slack.api_url)


def error_of(client: WebClient, method: str, /, **arguments: Any) -> str:
    """Call a method that must be refused, and return the error's name."""
    with pytest.raises(SlackApiError) as caught:
        form = all(isinstance(value, str) for value in arguments.values())
        client.api_call(method, **({"data": arguments} if form else {"json": arguments}))
    return str(caught.value.response["error"])


def test_auth_test_returns_the_ids_of_the_bot(client: WebClient) -> None:
    """Bolt needs them to ignore the bot's own messages."""
    answer = client.auth_test()
    assert (answer["user_id"][0], answer["bot_id"][0], answer["team_id"][0]) == ("U", "B", "T")


def test_posted_message_can_be_edited_and_deleted(slack: LocalSlack, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=ML_OPS, text="v1")["ts"]
    ada = slack.person("Ada")
    client.chat_update(channel=ML_OPS, ts=ts, text="v2")
    assert (ada.message(ts).text, ada.message(ts).is_edited) == ("v2", True)
    client.chat_delete(channel=ML_OPS, ts=ts)
    assert ada.message(ts) is None


def test_message_timestamps_are_unique_and_increasing(client: WebClient) -> None:
    stamps = [client.chat_postMessage(channel=ML_OPS, text="x")["ts"] for _ in range(20)]
    assert stamps == sorted(set(stamps))


def test_edit_with_text_only_removes_the_blocks(slack: LocalSlack, client: WebClient) -> None:
    """chat.update documents this. Blocks without text keep the text."""
    blocks = [{"type": "divider"}]
    ts = client.chat_postMessage(channel=ML_OPS, text="both", blocks=blocks)["ts"]
    client.api_call("chat.update", json={"channel": ML_OPS, "ts": ts, "blocks": [*blocks, *blocks]})
    ada = slack.person("Ada")
    assert (ada.message(ts).text, len(ada.message(ts).blocks), ada.message(ts).is_edited) == ("both", 2, False)
    client.chat_update(channel=ML_OPS, ts=ts, text="text")
    assert ada.message(ts).blocks == ()


def test_reply_appears_in_the_thread_only(slack: LocalSlack, client: WebClient) -> None:
    """A reply to a reply joins the same thread."""
    parent = client.chat_postMessage(channel=ML_OPS, text="card")["ts"]
    reply = client.chat_postMessage(channel=ML_OPS, text="one", thread_ts=parent)["ts"]
    client.chat_postMessage(channel=ML_OPS, text="two", thread_ts=reply)
    ada = slack.person("Ada")
    assert [one.text for one in ada.thread(ada.message(parent))] == ["one", "two"]
    assert reply not in [one.ts for one in ada.messages()]


def test_ephemeral_message_is_visible_to_one_member(slack: LocalSlack, client: WebClient) -> None:
    """chat.update does not find it."""
    ts = client.chat_postEphemeral(channel=ML_OPS, user=ADA.id, text="psst")["message_ts"]
    assert ts in [one.ts for one in slack.person("Ada").ephemerals()]
    assert slack.person("Grace").message(ts) is None
    assert error_of(client, "chat.update", channel=ML_OPS, ts=ts, text="x") == "message_not_found"


def test_user_id_as_channel_opens_the_direct_conversation(slack: LocalSlack, client: WebClient) -> None:
    answer = client.chat_postMessage(channel=GRACE.id, text="just you")
    assert answer["channel"].startswith("D")
    assert slack.person("Grace").message(answer["ts"]).text == "just you"
    assert slack.person("Ada").message(answer["ts"]) is None


REFUSALS = {
    "unknown method": ("unknown_method", "chat.shout", {}),
    "no channel": ("invalid_arguments", "chat.postMessage", {"text": "x"}),
    "unknown channel": ("channel_not_found", "chat.postMessage", {"channel": "C0NOWHERE00", "text": "x"}),
    "a channel's name": ("channel_not_found", "chat.postMessage", {"channel": "ml-ops", "text": "x"}),
    "channel without the bot": ("not_in_channel", "chat.postMessage", {"channel": RANDOM, "text": "x"}),
    "blocks not a list": ("invalid_blocks_format", "chat.postMessage", {"channel": ML_OPS, "blocks": {}}),
    "blocks not JSON": ("invalid_blocks_format", "chat.postMessage", {"channel": ML_OPS, "blocks": "[{"}),
    "unknown thread": ("thread_not_found", "chat.postMessage", {"channel": ML_OPS, "text": "x", "thread_ts": "1.2"}),
    "update of an unknown message": (
        "message_not_found",
        "chat.update",
        {"channel": ML_OPS, "ts": "1.000002", "text": "x"},
    ),
    "delete of an unknown message": ("message_not_found", "chat.delete", {"channel": ML_OPS, "ts": "1.000002"}),
    "ephemeral message to a user outside the channel": (
        "user_not_in_channel",
        "chat.postEphemeral",
        {"channel": ML_OPS, "user": "U0UNKNOWN00", "text": "x"},
    ),
    "unknown user": ("user_not_found", "users.info", {"user": "U0UNKNOWN00"}),
    "unknown group": ("no_such_subteam", "usergroups.users.list", {"usergroup": "S0UNKNOWN00"}),
    "unknown trigger": (
        "invalid_trigger_id",
        "views.open",
        {
            "trigger_id": "1.2.3",
            "view": {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": [{"type": "divider"}]},
        },
    ),
    "unknown view": (
        "not_found",
        "views.update",
        {
            "view_id": "V0",
            "view": {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": [{"type": "divider"}]},
        },
    ),
    "empty file": ("invalid_arguments", "files.getUploadURLExternal", {"filename": "a.txt", "length": 0}),
    "file that was not uploaded": ("file_not_found", "files.completeUploadExternal", {"files": [{"id": "F0"}]}),
    "bot token for Socket Mode": ("not_allowed_token_type", "apps.connections.open", {}),
}


@pytest.mark.parametrize(("error", "method", "arguments"), REFUSALS.values(), ids=REFUSALS)
def test_invalid_call_gets_slacks_error_name(
    client: WebClient, error: str, method: str, arguments: dict[str, Any]
) -> None:
    assert error_of(client, method, **arguments) == error


def test_remarks_on_refused_blocks_are_in_the_response_metadata(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=ML_OPS, text="x", blocks=[{"type": "dog"}])
    messages = caught.value.response["response_metadata"]["messages"]
    assert messages == ["[ERROR] unsupported type: dog [json-pointer:/blocks/0/type]"]


def test_edit_accepts_a_tenth_of_the_text_of_a_post(client: WebClient) -> None:
    """chat.update refuses more than 4,000 characters."""
    ts = client.chat_postMessage(channel=ML_OPS, text="x" * 4_001)["ts"]
    assert error_of(client, "chat.update", channel=ML_OPS, ts=ts, text="x" * 4_001) == "msg_too_long"


def test_bot_cannot_edit_or_delete_messages_of_people(slack: LocalSlack, client: WebClient) -> None:
    ada = slack.person("Ada")
    ada.type("mine")
    ts = ada.messages()[-1].ts
    assert error_of(client, "chat.update", channel=ML_OPS, ts=ts, text="x") == "cant_update_message"
    assert error_of(client, "chat.delete", channel=ML_OPS, ts=ts) == "cant_delete_message"


def test_method_outside_the_scopes_is_refused() -> None:
    """missing_scope lists the needed and the provided scopes."""
    with LocalSlack(SlackSettings(scopes=("chat:write",))) as slack:
        client = WebClient(token=BOT_TOKEN, base_url=slack.api_url)
        with pytest.raises(SlackApiError) as caught:
            client.users_info(user=ADA.id)
    answer = caught.value.response
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", "users:read", "chat:write")


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), (APP_TOKEN, "not_allowed_token_type")]
)
def test_wrong_token_is_refused(slack: LocalSlack, token: str, error: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.post(f"{slack.api_url}auth.test", headers=headers).json()
    assert answer == {"ok": False, "error": error}


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [(b"{", "application/json", "invalid_json"), (b"[1]", "application/json", "json_not_object")],
)
def test_body_without_a_json_object_is_refused(slack: LocalSlack, body: bytes, content_type: str, error: str) -> None:
    answer = httpx.post(f"{slack.api_url}auth.test", content=body, headers={"Content-Type": content_type}).json()
    assert answer["error"] == error


def test_arguments_are_accepted_as_form_json_or_query(slack: LocalSlack) -> None:
    """The token may be in the form or in the header."""
    url = f"{slack.api_url}chat.postMessage"
    header = {"Authorization": f"Bearer {BOT_TOKEN}"}
    sent = {"channel": ML_OPS, "text": "the same"}
    answers = [
        httpx.post(url, data={"token": BOT_TOKEN, **sent}),
        httpx.post(url, json=sent, headers=header),
        httpx.get(url, params=sent, headers=header),
    ]
    assert [answer.json()["message"]["text"] for answer in answers] == ["the same"] * 3


def test_users_info_marks_guests_and_slack_connect_members(client: WebClient) -> None:
    assert client.users_info(user=MALLORY.id)["user"]["is_restricted"]
    stranger = client.users_info(user=SYBIL.id)["user"]
    assert stranger["is_stranger"] and stranger["team_id"] != client.auth_test()["team_id"]


def test_user_group_lists_its_members(client: WebClient) -> None:
    group = client.usergroups_list(include_users=True)["usergroups"][0]
    assert group["handle"] == "ml-leads"
    assert client.usergroups_users_list(usergroup=group["id"])["users"] == group["users"]
    assert GRACE.id in group["users"] and ADA.id not in group["users"]


def test_permalink_leads_to_the_page(slack: LocalSlack, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=ML_OPS, text="x")["ts"]
    assert client.chat_getPermalink(channel=ML_OPS, message_ts=ts)["permalink"].startswith(slack.url)


def test_file_upload_to_a_thread_keeps_its_content(slack: LocalSlack, client: WebClient) -> None:
    """slack_sdk's files_upload_v2 works unchanged."""
    content = bytes(range(256)) * 10
    parent = client.chat_postMessage(channel=ML_OPS, text="card")["ts"]
    client.files_upload_v2(
        channel=ML_OPS, thread_ts=parent, filename="chart.png", title="Chart", content=content, initial_comment="done"
    )
    ada = slack.person("Ada")
    reply = ada.thread(ada.message(parent))[-1]
    assert (reply.text, reply.files[0].title, reply.files[0].mimetype) == ("done", "Chart", "image/png")
    assert ada.download(reply.files[0]) == content


def test_multipart_upload_can_be_completed_once(client: WebClient) -> None:
    step_1 = client.files_getUploadURLExternal(filename="report.html", length=5)
    httpx.post(step_1["upload_url"], files={"filename": ("report.html", b"hello")}).raise_for_status()
    files = [{"id": step_1["file_id"]}]
    answer = client.files_completeUploadExternal(files=files, channel_id=ML_OPS)
    assert answer["files"][0]["size"] == 5
    assert error_of(client, "files.completeUploadExternal", files=files, channel_id=ML_OPS) == "file_not_found"


def test_file_keeps_its_alt_text_of_up_to_1000_characters(client: WebClient) -> None:
    step_1 = client.files_getUploadURLExternal(filename="chart.png", length=1, alt_txt="PASS")
    httpx.post(step_1["upload_url"], content=b"x").raise_for_status()
    answer = client.files_completeUploadExternal(files=[{"id": step_1["file_id"]}], channel_id=ML_OPS)
    assert answer["files"][0]["alt_txt"] == "PASS"
    wrong = {"filename": "chart.png", "length": "1", "alt_txt": "P" * 1001}
    assert error_of(client, "files.getUploadURLExternal", **wrong) == "alt_txt_too_large"


def test_uploaded_html_is_sent_as_a_download(slack: LocalSlack, client: WebClient) -> None:
    """It must not run in the page's origin."""
    client.files_upload_v2(channel=ML_OPS, filename="report.html", content="<script>alert(1)</script>")
    file = slack.person("Ada").messages()[-1].files[0]
    answer = httpx.get(file.url)
    assert answer.headers["content-disposition"] == "attachment"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_reading_method_ignores_a_json_body(slack: LocalSlack) -> None:
    url, headers = slack.api_url + "users.info", {"Authorization": f"Bearer {slack.settings.bot_token}"}
    user = slack.person("Ada").id
    assert httpx.post(url, json={"user": user}, headers=headers).json()["ok"] is False
    assert httpx.post(url, data={"user": user}, headers=headers).json()["user"]["id"] == user
