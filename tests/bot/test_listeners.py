"""Clicks and mentions as the listeners get them: twice, too early, from nobody, and while Slack refuses."""

import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bot import listeners
from bot.answers import Answers, CatalogueLookup
from bot.chat import Chat
from bot.directory import Directory
from bot.intake import Intake
from bot.listeners import Listeners
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.schedules import Schedules
from tests.bot.lookup import settings
from tests.bot.relay_harness import RelayHarness
from tests.bot.slack_app_harness import Clock
from tests.waiting import wait_until
from workers.contract.queue import Catalogue


class Desk(RelayHarness):
    """A harness with a bot's listeners; what they answer to clicks is in `answered`."""

    def sit_down(self) -> None:
        """Put the listeners together as `bot.app` does."""
        chat = Chat(token=self.slack.settings.bot_token, api_url=self.slack.api_url)
        directory = Directory(chat, team=str(chat.whoami()["team_id"]))
        file = settings(environments={"staging1": False})
        facts = CatalogueLookup(settings=file, catalogue=Catalogue(self.client), queue=self.queue)
        intake = Intake(queue=self.queue, store=self.store, chat=chat, directory=directory, settings=file)
        schedules = Schedules(self.client, store=self.store)
        answers = Answers(
            facts=facts, intake=intake, queue=self.queue, store=self.store, schedules=schedules, chat=chat
        )
        self.listeners = Listeners(
            answers=answers,
            facts=facts,
            intake=intake,
            queue=self.queue,
            store=self.store,
            directory=directory,
            chat=chat,
        )
        self.answered: list[str] = []

    def click(self, action: str, job_id: str) -> None:
        """Ada presses a button of a card."""

        def respond(**reply: Any) -> None:
            self.answered.append(reply["text"])

        body = {"user": {"id": self.ada.id}}
        self.listeners._on_click(lambda: None, body, {"action_id": action, "value": job_id}, respond)

    def mention(self, text: str, **event: str) -> None:
        """The bot is mentioned in a channel."""
        self.listeners._on_mention({"channel": self.channel, "ts": f"{time.time():.6f}", "text": text, **event})


@pytest.fixture
def desk(redis_url: str) -> Iterator[Desk]:
    """A desk in a workspace without rate limits."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        desk = Desk(slack=slack, url=redis_url)
        desk.sit_down()
        yield desk
        desk.client.close()


def test_a_double_click_is_one_job_at_any_second(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a round ten seconds begin between the two."""
    clock, round_s = Clock(), time.time() // 10 * 10
    monkeypatch.setattr(listeners, "time", SimpleNamespace(time=clock, monotonic=time.monotonic, sleep=time.sleep))
    ended = desk.ask()
    desk.end(ended, "The target does not answer.")
    clock.now_s = round_s + 9.9
    desk.click("retry", ended)
    wait_until(lambda: len(desk.queue.recent()) == 2)
    clock.now_s = round_s + 10.1
    desk.click("retry", ended)
    assert "already" in wait_until(lambda: desk.answered)[0]
    assert len(desk.queue.recent()) == 2


def test_a_click_on_a_job_that_its_bot_left_behind_is_told_to_come_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its card says that it waits for approval, and nobody is told that it asks for none."""
    monkeypatch.setattr(listeners, "SETTLED_S", 0.1)
    desk.click("approve", desk.reserve())
    assert "Try again in half a minute" in wait_until(lambda: desk.answered)[0]


def test_a_mention_by_nobody_is_let_be(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """An incoming webhook has no user; whoever mentions next is answered."""
    desk.mention("<@U0SEATRIAL1> jobs")
    desk.mention("<@U0SEATRIAL1> jobs", user=desk.ada.id)
    assert "no job yet" in wait_until(desk.ada.ephemerals)[0].plain
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


def test_whoever_asks_hears_that_slack_refuses_and_who_can_mend_it(desk: Desk) -> None:
    """Trying again would not help where a scope is missing."""
    desk.slack.fail_next("users.info", status=200, error="missing_scope")
    desk.mention("<@U0SEATRIAL1> jobs", user=desk.ada.id)
    told = wait_until(desk.ada.ephemerals)[0].plain
    assert "missing_scope" in told
    assert "seatrial doctor" in told
