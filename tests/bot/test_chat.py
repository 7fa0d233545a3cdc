"""Slack's errors as the bot's three kinds, and members and user groups as the bot sees them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bot.chat import (
    Chat,
    ChatError,
    ChatRefused,
    ChatUnavailable,
    MessageGone,
    PlaceRefused,
    RateLimited,
    TokenRejected,
)
from bot.directory import Directory


@contextmanager
def slack(answer: object, *, status: int = 200, retry_after: str = "") -> Iterator[Chat]:
    """Serve a Slack that gives the same answer to every call."""

    class FixedAnswerHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log no requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), FixedAnswerHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Chat(token="xoxb-1", api_url=f"http://127.0.0.1:{server.server_address[1]}/api/")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("not_in_channel", PlaceRefused),
        ("is_archived", PlaceRefused),
        ("message_not_found", MessageGone),
        ("update_failed", ChatUnavailable),
        ("an_error_of_tomorrow", ChatRefused),
        ("invalid_blocks", ChatRefused),
        ("rate_limited", RateLimited),
        ("ratelimited", RateLimited),
        ("team_added_to_org", ChatUnavailable),
        ("token_revoked", TokenRejected),
        ("invalid_auth", TokenRejected),
    ],
)
def test_error_code_becomes_the_kind_that_decides_about_a_retry(error: str, kind: type[ChatError]) -> None:
    """A card that fails because of a token is posted after the token was repaired."""
    with slack({"ok": False, "error": error}) as chat, pytest.raises(ChatError) as raised:
        chat.whoami()
    assert type(raised.value) is kind


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 1.0), ("Mon, 23 Nov 2026 02:00:00 GMT", 1.0)])
def test_rate_limit_has_the_wait_that_slack_gives(header: str, seconds: float) -> None:
    """A proxy may send a date, which means a retry after a second."""
    with slack({"ok": False}, status=429, retry_after=header) as chat, pytest.raises(RateLimited) as raised:
        chat.whoami()
    assert raised.value.retry_after_s == seconds


def test_deactivated_account_is_gone() -> None:
    with slack({"ok": True, "user": {"id": "U1", "team_id": "T1", "name": "ada", "deleted": True}}) as chat:
        assert chat.member("U1", team="T1").gone


def test_directory_finds_members_of_user_groups() -> None:
    """Without names, every user is among them."""
    answer = {"ok": True, "usergroups": [{"id": "S1", "handle": "ml-leads"}], "users": ["U2"]}
    with slack(answer) as chat:
        directory = Directory(chat, team="T1")
        assert directory.is_among("U1", ())
        assert directory.is_among("U1", ("@ml-leads", "U1"))
        assert directory.is_among("U2", ("@ml-leads",))
        assert not directory.is_among("U1", ("@ml-leads",))
        assert not directory.is_among("U2", ("@unknown",))
