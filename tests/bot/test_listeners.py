"""Clicks and mentions as the listeners receive them: twice, too early, without a user, and while Slack refuses."""

import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bot import listeners
from bot.app import Bot
from bot.cards.card import reference
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.settings import BotSettings
from tests.bot.lookup import settings
from tests.bot.relay_harness import RelayHarness
from tests.bot.slack_app_harness import Clock
from tests.waiting import wait_until
from workers.contract.jobs import Asked, Deploy
from workers.contract.settings import SettingsFile


class ListenersHarness(RelayHarness):
    """A harness with a bot's listeners. `replies` has the replies to clicks."""

    def start_bot(self, file: SettingsFile | None = None) -> None:
        """Wire a bot without its threads."""
        slack = self.slack
        bot = Bot(
            BotSettings.model_construct(
                bot_token=slack.settings.bot_token,
                signing_secret=slack.settings.signing_secret,
                app_token="",
                host="127.0.0.1",
                port=0,
                api_url=slack.api_url,
                redis_url=self.url,
                file=file or settings(environments={"staging1": False}),
            )
        )
        self.bot, self.listeners = bot, bot.listeners
        self.replies: list[str] = []

    def command(self, command: str, *, trigger: str, by: str = "") -> None:
        """Type a slash command, as Ada unless `by` another member."""

        def respond(**reply: Any) -> None:
            self.replies.append(reply["text"])

        verb, _, text = command.partition(" ")
        body = {
            "command": verb,
            "text": text,
            "user_id": by or self.ada.id,
            "channel_id": self.channel,
            "trigger_id": trigger,
        }
        self.listeners._on_command(lambda: None, body, respond)

    def click(self, action: str, job_id: str, *, value: str = "", container: Any = None, by: str = "") -> None:
        """Click a button on a copy of the job's card, or with another `value`, in another `container`, not by Ada."""

        def respond(**reply: Any) -> None:
            self.replies.append(reply["text"])

        record = self.queue.record(job_id)
        value = value or (reference(record) if record else f"{job_id}:0")
        body = {"user": {"id": by or self.ada.id}, "container": container or {"is_ephemeral": True}}
        self.listeners._on_click(lambda: None, body, {"action_id": action, "value": value}, respond)

    def run_suggestion(self, command: str) -> None:
        """Click "Run this" in an answer that suggests `command`, as Ada."""

        def respond(**reply: Any) -> None:
            self.replies.append(reply["text"])

        body = {
            "user": {"id": self.ada.id},
            "channel": {"id": self.channel},
            "container": {"message_ts": "1800000000.000100"},
        }
        self.listeners._on_suggestion(lambda: None, body, {"value": command}, respond)

    def mention(self, text: str, **event: str) -> None:
        """Mention the bot in a channel."""
        self.listeners._on_mention({"channel": self.channel, "ts": f"{time.time():.6f}", "text": text, **event})


@pytest.fixture
def harness(redis_url: str) -> Iterator[ListenersHarness]:
    """A harness in a workspace without rate limits."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = ListenersHarness(slack=slack, url=redis_url)
        harness.start_bot()
        yield harness
        harness.client.close()


def test_a_double_click_is_one_job_at_any_second(harness: ListenersHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clicks are deduplicated also across the boundary of ten seconds of the clock."""
    clock, round_s = Clock(), time.time() // 10 * 10
    monkeypatch.setattr(listeners, "time", SimpleNamespace(time=clock, monotonic=time.monotonic, sleep=time.sleep))
    ended = harness.ask()
    harness.end(ended, "The target does not answer.")
    clock.now_s = round_s + 9.9
    harness.click("retry", ended)
    wait_until(lambda: len(harness.queue.recent()) == 2)
    clock.now_s = round_s + 10.1
    harness.click("retry", ended)
    assert "already" in wait_until(lambda: harness.replies)[0]
    assert len(harness.queue.recent()) == 2


def test_a_click_on_an_abandoned_reservation_asks_to_try_again(
    harness: ListenersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card shows that the job waits for approval, but its bot died before it stored the request for approval."""
    monkeypatch.setattr(listeners, "SETTLED_S", 0.1)
    harness.click("approve", harness.reserve())
    assert "try again in half a minute" in wait_until(lambda: harness.replies)[0].lower()


def test_a_click_on_an_expired_job_changes_nothing(harness: ListenersHarness) -> None:
    harness.click("retry", "999")
    assert "This button is out of date. Nothing was changed." in wait_until(lambda: harness.replies)[0]


@pytest.mark.parametrize("action", ["deploy", "roll_back"])
def test_a_button_that_does_not_fit_its_job_is_out_of_date(harness: ListenersHarness, action: str) -> None:
    ended = harness.ask()
    harness.end(ended, "The target does not answer.")
    harness.click(action, ended)
    assert "This button is out of date. Nothing was changed." in wait_until(lambda: harness.replies)[0]


def test_stop_on_a_waiting_deploy_stops_the_load_test_before_it(harness: ListenersHarness) -> None:
    ahead = harness.ask()
    harness.worker.heartbeat()
    assert harness.worker.claim(ahead)
    deploy = Deploy(model="iris", version=1, environment="staging1", digest="sha256:0")
    job_id, _ = harness.queue.reserve(key="deploy", job=deploy, asked=Asked(by="U1", by_name="Ada", where="C1"))
    harness.queue.submit(job_id)
    harness.click("stop_ahead", job_id)
    wait_until(lambda: (record := harness.queue.record(ahead)) and record.cancel_by == harness.ada.id)
    harness.click("stop_ahead", job_id)
    assert "already stopping" in wait_until(lambda: harness.replies)[0]
    harness.queue.cancel(job_id, by="U1")
    harness.replies.clear()
    harness.click("stop_ahead", job_id)
    assert "no longer waits for a load test" in wait_until(lambda: harness.replies)[0]


def test_a_mention_without_a_user_is_ignored(harness: ListenersHarness, caplog: pytest.LogCaptureFixture) -> None:
    """The mention of an incoming webhook has no user. The next mention is answered."""
    harness.mention("<@U0SEATRIAL1> jobs")
    harness.mention("<@U0SEATRIAL1> jobs", user=harness.ada.id)
    assert "There has been no job yet" in wait_until(harness.ada.ephemerals)[0].plain
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


def test_a_refusal_by_slack_is_reported_with_its_remedy(harness: ListenersHarness) -> None:
    """A missing scope needs an administrator; trying again does not help."""
    harness.slack.fail_next("users.info", status=200, error="missing_scope")
    harness.mention("<@U0SEATRIAL1> jobs", user=harness.ada.id)
    reply = wait_until(harness.ada.ephemerals)[0].plain
    assert "missing_scope" in reply
    assert "seatrial doctor" in reply


def test_suggestion_runs_once_for_the_member_who_clicks(harness: ListenersHarness) -> None:
    harness.run_suggestion("/loadtest stop")
    assert wait_until(lambda: harness.replies)[0].endswith("No load test is running.")
    harness.run_suggestion("/model train iris")
    harness.run_suggestion("/model train iris")
    (record,) = wait_until(harness.queue.recent)
    assert record.asked.by == harness.ada.id
    assert "already" in wait_until(lambda: harness.replies[1:])[0]


def test_talk_about_a_command_gets_a_private_hint_and_starts_nothing(harness: ListenersHarness) -> None:
    harness.mention("do not run <@U0SEATRIAL1> model train iris", user=harness.ada.id)
    assert "Nothing was started" in wait_until(harness.ada.ephemerals)[0].plain
    assert list(harness.queue.recent()) == []


@pytest.mark.parametrize(
    ("method", "error", "words"),
    [
        ("users.info", "user_not_found", "does not know you"),
        ("users.info", "token_revoked", "rejects Seatrial's token"),
        ("chat.postMessage", "channel_not_found", "/invite @seatrial"),
        ("chat.postMessage", "msg_too_long", "The fault is Seatrial's"),
        ("chat.postMessage", "restricted_action", "Try another channel"),
    ],
)
def test_refusal_by_slack_is_answered_with_what_is_true(
    harness: ListenersHarness, method: str, error: str, words: str
) -> None:
    harness.slack.fail_next(method, status=200, error=error)
    harness.command("/model train iris", trigger="t")
    assert words in wait_until(lambda: harness.replies)[0]
    assert list(harness.queue.recent()) == []


def test_full_redis_is_told_apart_from_one_that_is_away(harness: ListenersHarness) -> None:
    used = harness.client.info("memory")["used_memory"]
    harness.client.config_set("maxmemory", used // 2)
    try:
        harness.command("/model train iris", trigger="t")
        assert "is full" in wait_until(lambda: harness.replies)[0]
    finally:
        harness.client.config_set("maxmemory", 0)


def test_direct_message_of_others_needs_another_place(harness: ListenersHarness) -> None:
    harness.channel = "D0OTHERS123"
    harness.command("/model train iris", trigger="t")
    assert "not part of this direct message" in wait_until(lambda: harness.replies)[0]


def test_asker_is_told_that_a_delayed_job_was_discarded(harness: ListenersHarness) -> None:
    """The job was accepted while Slack was slow. Then the channel refuses its card."""
    harness.slack.fail_next("chat.postMessage", status=503)
    harness.command("/model train iris", trigger="t")
    wait_until(lambda: harness.slack.calls("chat.postMessage"))
    harness.slack.fail_next("chat.postMessage", status=200, error="is_archived")
    harness.bot._intake.resume()
    (message,) = harness.ada.messages(f"D{harness.ada.id[1:]}")
    assert "was not started: is_archived. Nothing was changed." in message.plain
    assert list(harness.queue.recent()) == []
