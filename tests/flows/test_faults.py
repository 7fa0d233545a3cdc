"""What happens when Slack, Redis or the bot is away, and when somebody who is not Slack calls."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from slack_sdk import WebClient

from bot.demo import processes
from tests.stack import WAIT_S, Stack, ask, post_ephemeral, until
from workers.contract import events as e
from workers.contract.jobs import Asked, Trained, TrainModel
from workers.contract.queue import Claim, Claims, Queue, connect

SECRET_BODY = "text=the-launch-code-is-0000"


@pytest.fixture
def quiet(redis_url: str, tmp_path: Path, environ: dict[str, str]) -> Iterator[Stack]:
    """A stack without a worker: the test plays the worker itself."""
    with ExitStack() as exit_stack:
        yield Stack(url=redis_url, folder=tmp_path, environ=environ, exit_stack=exit_stack)


def played(url: str) -> Claims:
    """A worker that a test plays."""
    claims = Claims(connect(url), worker="played", lease_s=60.0)
    claims.heartbeat()
    return claims


def claimed(queue: Queue, claims: Claims) -> Claim:
    """A claim on the newest job, as soon as it is queued."""
    deadline_s = time.monotonic() + WAIT_S
    while (newest := queue.recent(1)[0]).state != "queued":
        assert time.monotonic() < deadline_s, "it was never queued"
        time.sleep(0.02)
    claim = claims.claim(newest.id)
    assert claim is not None
    return claim


def end(claims: Claims, claim: Claim) -> None:
    """Let the job succeed."""
    outcome = Trained(version=7, digest="sha256:0", metrics={"accuracy": 0.97}, size_bytes=10)
    assert claims.finish(claim, e.Succeeded(at_s=time.time(), outcome=outcome))


def test_a_wrong_or_old_signature_is_401_and_its_body_is_not_logged(quiet: Stack) -> None:
    """Whoever is not Slack learns nothing and leaves nothing in the log."""
    quiet.start_bot()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-slack-signature": "v0=00"}
    for stamp in (str(int(time.time())), "1000000000", "yesterday"):
        answer = httpx.post(
            quiet.bot_url + "/slack/events",
            content=SECRET_BODY,
            headers=headers | {"x-slack-request-timestamp": stamp},
            timeout=60,
        )
        assert answer.status_code == 401
    assert SECRET_BODY not in quiet.logs()
    assert "Traceback" not in quiet.logs()


def test_the_end_of_a_job_is_shown_though_the_bot_was_down(quiet: Stack, redis_url: str) -> None:
    """A job that ended while no bot ran is on its card once one runs again."""
    bot = quiet.start_bot()
    ada = quiet.person("Ada")
    card = ask(ada, "/model train iris")
    claims = played(redis_url)
    claim = claimed(quiet.queue, claims)
    bot.terminate()
    assert bot.wait(WAIT_S) == 0
    end(claims, claim)
    seen = ada.message(card.ts)
    assert seen is not None
    assert "· done" not in seen.plain
    quiet.start_bot()
    assert "v7" in until(ada, card, "· done").plain


def test_an_edit_that_slack_does_not_take_is_made_later(quiet: Stack, redis_url: str) -> None:
    """429 is waited out for as long as Slack asks, 5xx for a moment; the end is shown all the same."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    card = ask(ada, "/model train iris")
    claims = played(redis_url)
    claim = claimed(quiet.queue, claims)
    quiet.slack.fail_next("chat.update", times=1, status=429, retry_after_s=1)
    quiet.slack.fail_next("chat.update", times=2, status=503)
    end(claims, claim)
    assert "v7" in until(ada, card, "· done").plain
    assert "Traceback" not in quiet.logs()


def test_a_card_that_slack_does_not_take_is_posted_later_and_then_the_job_starts(quiet: Stack) -> None:
    """The person is told that the card follows; nothing runs without one."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    quiet.slack.fail_next("chat.postMessage", times=2, status=503)
    assert "the card follows" in post_ephemeral(ada, "/model train iris")
    assert quiet.queue.recent(1)[0].state == "reserved"
    card = ada.wait_for(lambda: next(iter(ada.messages()), None), WAIT_S)
    assert "Train iris" in card.plain
    ada.wait_for(lambda: quiet.queue.recent(1)[0].state == "queued", WAIT_S)
    assert len(ada.messages()) == 1


def test_a_card_that_slack_puts_off_is_not_posted_before(quiet: Stack) -> None:
    """Slack is left alone for as long as it asks; then the card comes."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    quiet.slack.fail_next("chat.postMessage", status=429, retry_after_s=4)
    assert "the card follows" in post_ephemeral(ada, "/model train iris")
    ada.wait_for(lambda: ada.messages(), WAIT_S)
    refused, posted = quiet.slack.calls("chat.postMessage")
    assert posted.at_s - refused.at_s >= 3.5


def test_a_schedule_that_slack_does_not_announce_is_told_to_its_author(quiet: Stack) -> None:
    """It is there, once, and nobody is asked to add it again; where no card could come it is not kept at all."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    quiet.slack.fail_next("chat.postMessage", times=1, status=429, retry_after_s=1)
    assert "*s1*" in post_ephemeral(ada, '/schedule add "0 2 * * 1-5" model train iris')
    assert "/invite" in post_ephemeral(ada, '/schedule add "0 3 * * 1-5" model train iris', channel="random")
    listed = post_ephemeral(ada, "/schedule list")
    assert "0 2 * * 1-5" in listed
    assert "0 3 * * 1-5" not in listed


def test_a_click_on_a_card_that_was_quicker_than_its_job_is_not_lost(quiet: Stack) -> None:
    """The card is there before the job is: a click then waits for it, and does what its button says."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    asked = Asked(by=quiet.person("Grace").id, by_name="Grace", where=ada.id, at_s=time.time())
    job_id, _ = quiet.queue.reserve(key="slow", job=TrainModel(model="iris"), asked=asked)
    blocks = [{"type": "actions", "elements": [_deny(job_id)]}]
    client = WebClient(token=quiet.slack.settings.bot_token, base_url=quiet.slack.api_url)
    client.chat_postMessage(channel=ask(ada, "/model train broken").channel, text="quick", blocks=blocks)
    quick = ada.wait_for(lambda: next((one for one in ada.messages() if one.text == "quick"), None), WAIT_S)
    ada.click(quick, "deny")
    now = time.time()
    request = e.ApprovalRequested(at_s=now, count=1, approvers=(), own=False, expires_at_s=now + 60)
    quiet.queue.await_approval(job_id, request)
    ada.wait_for(lambda: (found := quiet.queue.record(job_id)) and found.state == "denied", WAIT_S)


def _deny(job_id: str) -> dict[str, object]:
    return {"type": "button", "action_id": "deny", "value": job_id, "text": {"type": "plain_text", "text": "Deny"}}


def test_cards_are_edited_within_one_budget(quiet: Stack, redis_url: str) -> None:
    """A job that reports all the time is edited every few seconds, not at every report."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    ask(ada, "/model train iris")
    claims = played(redis_url)
    claim = claimed(quiet.queue, claims)
    claims.append(claim, e.StepStarted(at_s=time.time(), step="train"))
    stop = threading.Event()

    def report() -> None:
        done = 0
        while not stop.wait(0.05):
            done += 1
            claims.append(claim, e.Progressed(at_s=time.time(), step="train", done=done, total=1000, fact=""))

    reporter = threading.Thread(target=report)
    reporter.start()
    began = len(quiet.slack.calls("chat.update"))
    ada.wait_for(lambda: len(quiet.slack.calls("chat.update")) >= began + 5, WAIT_S)
    stop.set()
    reporter.join()
    _, *times = [call.at_s for call in quiet.slack.calls("chat.update")[began:]]
    # Over all of them: one that a busy machine delays comes close before the next.
    assert times[-1] - times[0] > 2.0 * (len(times) - 1)


def test_redis_away_is_said_within_the_three_seconds_of_a_command(tmp_path: Path, environ: dict[str, str]) -> None:
    """The person hears that nothing was done; when Redis is back, commands work again; health tells both."""
    with ExitStack() as exit_stack:
        outer = exit_stack.enter_context(ExitStack())
        url = outer.enter_context(processes.redis(tmp_path))
        stack = Stack(url=url, folder=tmp_path, environ=environ, exit_stack=exit_stack)
        stack.start_bot()
        ada = stack.person("Ada")
        assert "no job yet" in post_ephemeral(ada, "/jobs")
        assert httpx.get(stack.bot_url + "/healthz", timeout=60).status_code == 200
        outer.close()
        took_s = []
        for _ in range(5):
            began_s = time.monotonic()
            assert "cannot reach its queue" in post_ephemeral(ada, "/model train iris")
            took_s.append(time.monotonic() - began_s)
        assert min(took_s) < 3.0, took_s  # a busy machine may delay one of them, a bot that waits delays all
        assert httpx.get(stack.bot_url + "/healthz", timeout=60).status_code == 503
        assert "Traceback" not in stack.logs()


def test_the_bot_serves_socket_mode_where_it_has_an_app_token(quiet: Stack) -> None:
    """The same commands over a WebSocket; by HTTP there is the health check and nothing else."""
    quiet.for_bot["SLACK_APP_TOKEN"] = quiet.slack.settings.app_token
    process = processes.process("bot", processes.python("-m", "bot"), folder=quiet.folder, environ=quiet.for_bot)
    ada = quiet.person("Ada")
    with process:
        ada.wait_for(lambda: "connected by Socket Mode" in quiet.logs(), WAIT_S)
        assert "no job yet" in post_ephemeral(ada, "/jobs")
        assert "Train iris" in ask(ada, "/model train iris").plain
        assert httpx.get(quiet.bot_url + "/healthz", timeout=60).status_code == 200
        assert httpx.post(quiet.bot_url + "/slack/events", timeout=60).status_code == 404


def test_a_bot_without_what_it_needs_lists_all_of_it(tmp_path: Path, environ: dict[str, str]) -> None:
    """Tokens, port and file: every mistake at once, exit 2, no secret shown."""
    import subprocess

    (tmp_path / "seatrial.toml").write_text("[environments.a]\nreplicas = 0\n")
    wrong = environ | {"PORT": "http", "SLACK_BOT_TOKEN": "sesame", "SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml")}
    wrong["REDIS_URL"] = "redis://:sesame/street@127.0.0.1:6379/0"
    done = subprocess.run(
        processes.python("-m", "bot"), env=wrong, capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert done.returncode == 2
    for piece in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "PORT", "REDIS_URL", "environments.a.replicas", ":2:"):
        assert piece in done.stderr
    assert "sesame" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bot_whose_token_slack_refuses_says_so(quiet: Stack) -> None:
    """One sentence, exit 1."""
    quiet.for_bot["SLACK_BOT_TOKEN"] = "xoxb-wrong"
    with processes.process("bot", processes.python("-m", "bot"), folder=quiet.folder, environ=quiet.for_bot) as bot:
        assert bot.wait(WAIT_S) == 1
    assert "invalid_auth" in quiet.logs()
    assert "Traceback" not in quiet.logs()


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("SLACK_APP_TOKEN", "xapp-wrong", "Check SLACK_APP_TOKEN"), ("PORT", "", "Check HOST")],
)
def test_a_bot_that_slack_cannot_reach_says_why(quiet: Stack, name: str, value: str, advice: str) -> None:
    """A port that is taken and an app token that Slack refuses: one sentence each, exit 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        quiet.for_bot[name] = value or str(taken.getsockname()[1])
        with processes.process("bot", processes.python("-m", "bot"), folder=quiet.folder, environ=quiet.for_bot) as bot:
            assert bot.wait(WAIT_S) == 1
    assert advice in quiet.logs()
    assert "Traceback" not in quiet.logs()


def test_two_bots_show_a_job_once(quiet: Stack, redis_url: str) -> None:
    """However many bots run, one card, one end, one chart."""
    quiet.start_bot()
    second = dict(quiet.for_bot, PORT=str(processes.free_port()))
    with processes.process("bot2", processes.python("-m", "bot"), folder=quiet.folder, environ=second):
        ada = quiet.person("Ada")
        card = ask(ada, "/model train iris")
        claims = played(redis_url)
        claim = claimed(quiet.queue, claims)
        claims.attach(claim, name="chart.png", title="Chart", data=b"\x89PNG")
        end(claims, claim)
        until(ada, card, "· done")
        ada.wait_for(lambda: ada.thread(card), WAIT_S)
        ada.wait_for(lambda: not quiet.queue.dirty(), WAIT_S)
        assert len(ada.messages()) == 1
        assert len([file for one in ada.thread(card) for file in one.files]) == 1
