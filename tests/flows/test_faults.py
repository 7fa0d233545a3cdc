"""Outages of Slack, Redis and the bot, and requests that are not from Slack."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from slack_sdk import WebClient

from bot.cards.card import reference
from bot.demo import processes
from bot.store import Store
from tests.stack import WAIT_S, Stack, ask, ephemeral, until
from tests.waiting import wait_until
from workers.contract import events as e
from workers.contract.jobs import Asked, Trained, TrainModel
from workers.contract.queue import Claim, Claims, Queue, connect
from workers.contract.record import fold

SECRET_BODY = "text=the-launch-code-is-0000"


@pytest.fixture
def quiet(redis_url: str, tmp_path: Path, environ: dict[str, str]) -> Iterator[Stack]:
    """Yield a stack without a worker. The test plays the worker itself."""
    with ExitStack() as exit_stack:
        yield Stack(url=redis_url, folder=tmp_path, environ=environ, exit_stack=exit_stack)


def played_worker(url: str) -> Claims:
    """Return the claims of a worker that the test plays."""
    claims = Claims(connect(url), worker="played_worker", lease_s=60.0)
    claims.heartbeat()
    return claims


def claimed(queue: Queue, claims: Claims) -> Claim:
    """Claim the newest job once it is queued."""
    wait_until(lambda: queue.recent(1)[0].state == "queued", WAIT_S)
    claim = claims.claim(queue.recent(1)[0].id)
    assert claim is not None
    return claim


def succeed(claims: Claims, claim: Claim) -> None:
    """Let the job succeed."""
    outcome = Trained(version=7, digest="sha256:0", metrics={"accuracy": 0.97}, size_bytes=10)
    assert claims.finish(claim, e.Succeeded(outcome=outcome))


def test_request_with_wrong_or_old_signature_gets_401_and_is_not_logged(quiet: Stack) -> None:
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


def test_card_shows_the_end_of_a_job_that_ended_while_the_bot_was_down(quiet: Stack, redis_url: str) -> None:
    bot = quiet.start_bot()
    ada = quiet.person("Ada")
    card = ask(ada, "/model train iris")
    claims = played_worker(redis_url)
    claim = claimed(quiet.queue, claims)
    bot.terminate()
    assert bot.wait(WAIT_S) == 0
    succeed(claims, claim)
    seen = ada.message(card.ts)
    assert seen is not None
    assert "· done" not in seen.plain
    quiet.start_bot()
    assert "v7" in until(ada, card, "· done").plain


def test_card_edit_is_retried_after_429_and_5xx(quiet: Stack, redis_url: str) -> None:
    quiet.start_bot()
    ada = quiet.person("Ada")
    card = ask(ada, "/model train iris")
    claims = played_worker(redis_url)
    claim = claimed(quiet.queue, claims)
    quiet.slack.fail_next("chat.update", times=1, status=429, retry_after_s=1)
    quiet.slack.fail_next("chat.update", times=2, status=503)
    succeed(claims, claim)
    assert "v7" in until(ada, card, "· done").plain
    assert "Traceback" not in quiet.logs()


def test_job_starts_once_its_delayed_card_is_posted(quiet: Stack) -> None:
    """The user learns that the card is delayed. No job runs without a card."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    quiet.slack.fail_next("chat.postMessage", times=6, status=503)
    assert "once it is posted" in ephemeral(ada, "/model train iris")
    assert quiet.queue.recent(1)[0].state == "reserved"
    card = ada.wait_for(lambda: next(iter(ada.messages()), None), WAIT_S)
    assert "Train iris" in card.plain
    ada.wait_for(lambda: quiet.queue.recent(1)[0].state == "queued", WAIT_S)
    assert len(ada.messages()) == 1


def test_card_is_posted_only_after_retry_after(quiet: Stack) -> None:
    quiet.start_bot()
    ada = quiet.person("Ada")
    quiet.slack.fail_next("chat.postMessage", status=429, retry_after_s=4)
    assert "once it is posted" in ephemeral(ada, "/model train iris")
    ada.wait_for(lambda: ada.messages(), WAIT_S)
    refused, posted = quiet.slack.calls("chat.postMessage")
    assert posted.at_s - refused.at_s >= 3.5


def test_schedule_is_confirmed_to_its_author_if_slack_does_not_post_it(quiet: Stack) -> None:
    """The schedule exists once. If the channel refuses cards, the schedule is removed."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    quiet.slack.fail_next("chat.postMessage", times=1, status=429, retry_after_s=1)
    assert "*s1*" in ephemeral(ada, '/schedule add "0 2 * * 1-5" model train iris')
    assert "/invite" in ephemeral(ada, '/schedule add "0 3 * * 1-5" model train iris', channel="random")
    listed = ephemeral(ada, "/schedule list")
    assert "0 2 * * 1-5" in listed
    assert "0 3 * * 1-5" not in listed


def test_click_waits_for_a_job_that_is_slower_than_its_card(quiet: Stack) -> None:
    quiet.start_bot()
    ada = quiet.person("Ada")
    asked = Asked(by=quiet.person("Grace").id, by_name="Grace", where=ada.id)
    job_id, _ = quiet.queue.reserve(key="slow", job=TrainModel(model="iris"), asked=asked)
    request = e.ApprovalRequested(count=1, approvers=(), own=False, expires_at_s=time.time() + 60)
    record = quiet.queue.record(job_id)
    assert record is not None
    blocks = [{"type": "actions", "elements": [_deny(reference(fold(record, [request])))]}]
    client = WebClient(token=quiet.slack.settings.bot_token, base_url=quiet.slack.api_url)
    channel = ask(ada, "/model train broken").channel
    posted = client.chat_postMessage(channel=channel, text="quick", blocks=blocks)
    Store(quiet.queue._redis).save_card(job_id, channel=channel, ts=str(posted["ts"]), rendered_digest="")
    quick = ada.wait_for(lambda: next((one for one in ada.messages() if one.text == "quick"), None), WAIT_S)
    ada.click(quick, "deny")
    quiet.queue.await_approval(job_id, request)
    ada.wait_for(lambda: (found := quiet.queue.record(job_id)) and found.state == "denied", WAIT_S)


def _deny(value: str) -> dict[str, object]:
    return {"type": "button", "action_id": "deny", "value": value, "text": {"type": "plain_text", "text": "Deny"}}


def test_busy_job_edits_its_card_within_the_budget(quiet: Stack, redis_url: str) -> None:
    """A job that reports all the time is edited every few seconds."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    ask(ada, "/model train iris")
    claims = played_worker(redis_url)
    claim = claimed(quiet.queue, claims)
    claims.append(claim, e.StepStarted(step="train"))
    stop = threading.Event()

    def report() -> None:
        done = 0
        while not stop.wait(0.05):
            done += 1
            claims.append(claim, e.Progressed(step="train", done=done, total=1000, fact=""))

    reporter = threading.Thread(target=report)
    reporter.start()
    began = len(quiet.slack.calls("chat.update"))
    ada.wait_for(lambda: len(quiet.slack.calls("chat.update")) >= began + 5, WAIT_S)
    stop.set()
    reporter.join()
    _, *times = [call.at_s for call in quiet.slack.calls("chat.update")[began:]]
    # The rate over all edits: a busy machine may delay one so far that the next follows closely.
    assert times[-1] - times[0] > 2.0 * (len(times) - 1)


def test_command_is_answered_within_three_seconds_while_redis_is_away(tmp_path: Path, environ: dict[str, str]) -> None:
    """Commands work again once Redis is back, and the health check reports both states."""
    with ExitStack() as exit_stack:
        outer = exit_stack.enter_context(ExitStack())
        url = outer.enter_context(processes.redis(tmp_path))
        stack = Stack(url=url, folder=tmp_path, environ=environ, exit_stack=exit_stack)
        stack.start_bot()
        ada = stack.person("Ada")
        assert "no job yet" in ephemeral(ada, "/jobs")
        assert httpx.get(stack.bot_url + "/healthz", timeout=60).status_code == 200
        outer.close()
        took_s = []
        for _ in range(5):
            began_s = time.monotonic()
            assert "cannot reach its queue" in ephemeral(ada, "/model train iris")
            took_s.append(time.monotonic() - began_s)
        assert min(took_s) < 3.0, took_s  # a busy machine may delay one of them, a bot that waits delays all
        assert httpx.get(stack.bot_url + "/healthz", timeout=60).status_code == 503
        assert "Traceback" not in stack.logs()


def test_bot_with_an_app_token_uses_socket_mode(quiet: Stack) -> None:
    """HTTP then serves only the health check."""
    quiet.for_bot["SLACK_APP_TOKEN"] = quiet.slack.settings.app_token
    process = processes.process("bot", processes.python("-m", "bot"), folder=quiet.folder, environ=quiet.for_bot)
    ada = quiet.person("Ada")
    with process:
        ada.wait_for(lambda: "connected by Socket Mode" in quiet.logs(), WAIT_S)
        assert "no job yet" in ephemeral(ada, "/jobs")
        assert "Train iris" in ask(ada, "/model train iris").plain
        assert httpx.get(quiet.bot_url + "/healthz", timeout=60).status_code == 200
        assert httpx.post(quiet.bot_url + "/slack/events", timeout=60).status_code == 404


def test_bot_lists_all_mistakes_in_its_settings_at_once(tmp_path: Path, environ: dict[str, str]) -> None:
    """The exit status is 2, and no secret is shown."""
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


def test_bot_with_a_refused_token_exits_with_one_sentence(quiet: Stack) -> None:
    quiet.for_bot["SLACK_BOT_TOKEN"] = "xoxb-wrong"
    with processes.process("bot", processes.python("-m", "bot"), folder=quiet.folder, environ=quiet.for_bot) as bot:
        assert bot.wait(WAIT_S) == 1
    assert "invalid_auth" in quiet.logs()
    assert "Traceback" not in quiet.logs()


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [("SLACK_APP_TOKEN", "xapp-wrong", "Check SLACK_APP_TOKEN"), ("PORT", "", "Check HOST")],
)
def test_bot_that_slack_cannot_reach_exits_with_one_sentence(quiet: Stack, name: str, value: str, advice: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        quiet.for_bot[name] = value or str(taken.getsockname()[1])
        with processes.process("bot", processes.python("-m", "bot"), folder=quiet.folder, environ=quiet.for_bot) as bot:
            assert bot.wait(WAIT_S) == 1
    assert advice in quiet.logs()
    assert "Traceback" not in quiet.logs()


def test_two_bots_post_one_card_one_end_and_one_chart(quiet: Stack, redis_url: str) -> None:
    quiet.start_bot()
    second = dict(quiet.for_bot, PORT=str(processes.free_port()))
    with processes.process("bot2", processes.python("-m", "bot"), folder=quiet.folder, environ=second):
        ada = quiet.person("Ada")
        card = ask(ada, "/model train iris")
        claims = played_worker(redis_url)
        claim = claimed(quiet.queue, claims)
        claims.attach(claim, name="chart.png", title="Chart", data=b"\x89PNG")
        succeed(claims, claim)
        until(ada, card, "· done")
        ada.wait_for(lambda: ada.thread(card), WAIT_S)
        ada.wait_for(lambda: not quiet.queue.dirty(), WAIT_S)
        assert len(ada.messages()) == 1
        assert len([file for one in ada.thread(card) for file in one.files]) == 1


def test_unknown_button_and_a_copied_one_are_answered(quiet: Stack) -> None:
    """A button of a later release, and one with the number of a job on a message that is not its card."""
    quiet.start_bot()
    ada = quiet.person("Ada")
    channel = ask(ada, "/model train iris").channel
    later = _deny("1:0") | {"action_id": "promote", "text": {"type": "plain_text", "text": "Promote"}}
    blocks = [{"type": "actions", "elements": [later, _deny("1:0")]}]
    client = WebClient(token=quiet.slack.settings.bot_token, base_url=quiet.slack.api_url)
    client.chat_postMessage(channel=channel, text="old", blocks=blocks)
    old = ada.wait_for(lambda: next((one for one in ada.messages() if one.text == "old"), None), WAIT_S)
    for count, action in enumerate(("promote", "deny"), 1):
        ada.click(old, action)
        answers = ada.wait_for(lambda count=count: len(found := ada.ephemerals()) == count and found, WAIT_S)
        assert "This button is out of date. Nothing was changed." in answers[-1].plain
    assert quiet.queue.recent(1)[0].state == "queued"
