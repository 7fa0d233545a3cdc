"""What the bot makes of Slack's answers: to wait, to try again, or to give up; and who is gone."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bot.chat import Chat, ChatError, ChatRefused, ChatUnavailable, RateLimited
from bot.policy import outsider


@contextmanager
def slack(answer: object, *, status: int = 200, retry_after: str = "") -> Iterator[Chat]:
    """A Slack that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
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
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Chat(token="xoxb-1", api_url=f"http://127.0.0.1:{server.server_address[1]}/api/")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("not_in_channel", ChatRefused),
        ("invalid_blocks", ChatRefused),
        ("rate_limited", RateLimited),
        ("ratelimited", RateLimited),
        ("team_added_to_org", ChatUnavailable),
        ("token_revoked", ChatUnavailable),
        ("invalid_auth", ChatUnavailable),
    ],
)
def test_what_passes_is_waited_for_and_what_does_not_is_given_up(error: str, kind: type[ChatError]) -> None:
    """A card that cannot be shown until a token is mended is not lost."""
    with slack({"ok": False, "error": error}) as chat, pytest.raises(ChatError) as raised:
        chat.whoami()
    assert type(raised.value) is kind


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 1.0), ("Mon, 23 Nov 2026 02:00:00 GMT", 1.0)])
def test_slack_is_left_alone_for_as_long_as_it_asks(header: str, seconds: float) -> None:
    """A proxy on the way may ask in words: then it is tried again soon."""
    with slack({"ok": False}, status=429, retry_after=header) as chat, pytest.raises(RateLimited) as raised:
        chat.whoami()
    assert raised.value.retry_after_s == seconds


def test_whose_account_was_deactivated_starts_nothing_any_more() -> None:
    """Their schedules are left, and say that somebody else has to add them."""
    with slack({"ok": True, "user": {"id": "U1", "team_id": "T1", "name": "ada", "deleted": True}}) as chat:
        assert "deactivated" in outsider(chat.member("U1", team="T1"))
