"""Load tests of targets, typed in the local Slack. Each test builds on those before it."""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import redis as redis_client

from bot.local_slack.person import VisibleMessage
from tests.stack import Stack, ask, ephemeral, until


class OkHandler(BaseHTTPRequestHandler):
    """The handler of a target that answers every request with 200."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Log no request."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the URL of the target."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), OkHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def targets_stack(
    address: str, redis_server: str, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Yield a stack with two targets: docs, capped at 50 rps, and shop, which takes more with approval."""
    client = redis_client.Redis.from_url(redis_server)
    client.flushall()
    client.close()
    targets = f"""
[targets.docs]
url = "{address}"
owner = "@search"
private = true
max_load = "50rps"

[targets.shop]
url = "{address}"
owner = "@search"
private = true
max_load = "1rps"
approvals = {{ count = 1, from = ["@ml-leads"] }}
"""
    with ExitStack() as exit_stack:
        built = Stack(
            url=redis_server, folder=tmp_path_factory.mktemp("targets_stack"), environ=environ, exit_stack=exit_stack
        )
        with (built.folder / "seatrial.toml").open("a") as settings:
            settings.write(targets)
        built.start_worker()
        built.start_bot()
        yield built


def number(card: VisibleMessage) -> str:
    """Return the job id on a card."""
    return card.plain.split("#")[1].split(" ")[0]


def test_stepped_load_test_of_a_target_names_its_owner(targets_stack: Stack) -> None:
    """The card has the shape and the owner, then verdict, requests and percentiles, without replicas."""
    ada = targets_stack.person("Ada")
    card = ask(ada, "/loadtest 10..30rps steps 2 for 4s on docs")
    assert "docs at 10..30 rps in 2 steps for 4 s" in card.plain
    assert "docs belongs to @search" in card.plain
    done = until(ada, card, "· took")
    assert any(verdict in done.plain for verdict in ("· PASS", "· FAIL", "· INVALID"))
    assert "80, 0 failed" in done.plain
    assert "p99.9" in done.plain and "Replicas" not in done.plain
    assert [button.label for button in done.buttons] == ["Run again"]


def test_load_test_above_the_cap_waits_for_the_target_approvers(targets_stack: Stack) -> None:
    ada, grace = targets_stack.person("Ada"), targets_stack.person("Grace")
    card = ask(ada, "/loadtest 10rps for 2s on shop")
    assert "Will run: 10 rps for 2 s against shop, 20 requests in all" in card.plain
    grace.click_button(card, "Approve")
    assert "20, 0 failed" in until(ada, card, "· took").plain


def test_comparison_of_load_tests_is_shown_to_its_author_only(targets_stack: Stack) -> None:
    """A job that cannot be compared is refused with the reason."""
    ada = targets_stack.person("Ada")
    compared = ephemeral(ada, "/loadtest compare 1 2")
    for words in ("#1", "#2", "verdict", "requests", "p95", "%", "compare with care"):
        assert words in compared
    card = until(ada, ask(ada, "/loadtest 20rps for 60s on docs"), "Latency")
    assert f"#{number(card)} has not ended yet" in ephemeral(ada, f"/loadtest compare 1 {number(card)}")
    ada.click_button(card, "Stop")
    until(ada, card, "cancelled by")
    assert "it ended as cancelled" in ephemeral(ada, f"/loadtest compare 1 {number(card)}")
    assert "There is no job #999" in ephemeral(ada, "/loadtest compare 1 999")


def test_capacity_search_of_a_target_lists_each_probe(targets_stack: Stack) -> None:
    ada = targets_stack.person("Ada")
    card = ask(ada, "/loadtest find slo p95<5s,errors<50% from 10rps to 20rps for 5s on docs")
    found = until(ada, card, "· took")
    # A machine that is too busy for the measurement makes the search say that instead.
    assert re.search(r"10 +(PASS|INVALID)", found.plain)
    assert "docs belongs to @search" in found.plain
    assert [button.label for button in found.buttons] == ["Run again"]
    assert "is not a load test" in ephemeral(ada, f"/loadtest compare {number(card)} 1")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/loadtest 51rps on docs", "above the cap of 50 rps"),
        ("/loadtest 10rps for 2h on docs", "loadtest.longest allows 1 h"),
        ("/loadtest 30..10rps on docs", "does not rise"),
        ("/loadtest 10..30rps steps 99 on docs", "write 2 to 20 steps"),
        ("/loadtest 10rps on http://example.com", "There is no environment or target"),
        ("/loadtest 10rps abort errors>200% on docs", "is out of range"),
        ("/loadtest find to 51rps on docs", "above the cap of 50 rps"),
        ("/loadtest 10..30rps for 5m on docs dry-run", "up to 30 rps for 5 m against docs, 6,000 requests in all"),
        ("/loadtest 10rps on shop dry-run", "one approval from @ml-leads"),
        ("/loadtest last docs", "Find the capacity of docs"),
    ],
)
def test_invalid_or_excessive_load_starts_no_job(targets_stack: Stack, typed: str, said: str) -> None:
    """The author alone reads the reason."""
    ada = targets_stack.person("Ada")
    jobs = targets_stack.queue.recent(1)[0].id
    assert said in ephemeral(ada, typed)
    assert targets_stack.queue.recent(1)[0].id == jobs
