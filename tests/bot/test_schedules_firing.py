"""Firings that start no job: the previous job has not ended, or the schedule cannot run any more."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.app import Bot
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.schedules.firing import Firing
from bot.schedules.repository import Schedules
from bot.settings import BotSettings
from bot.state import Schedule
from tests.bot.lookup import settings
from tests.bot.relay_harness import NIGHTLY, RelayHarness
from workers.contract import events as e


class FiringHarness(RelayHarness):
    """A harness with the schedules and the firing of a bot."""

    def start_bot(self) -> None:
        """Wire a bot without its threads. It knows model iris, environment staging and target search."""
        bot = Bot(
            BotSettings.model_construct(
                bot_token=self.slack.settings.bot_token,
                signing_secret=self.slack.settings.signing_secret,
                app_token="",
                api_url=self.slack.api_url,
                redis_url=self.url,
                file=settings(environments={"staging": False}, targets={"search": "100rps"}),
            )
        )
        self.schedules = Schedules(self.client, store=self.store)
        self.firing = Firing(
            dispatcher=bot.listeners.dispatcher, chat=bot.listeners.chat, store=self.store, pause=self.schedules.pause
        )

    def schedule(self, command: str = "/model train iris", channel: str = "") -> Schedule:
        """Store a schedule of Ada's."""
        schedule = replace(
            NIGHTLY, command=command, by=self.ada.id, channel=channel or self.channel, next_due_s=4_000_000_000.0
        )
        return self.schedules.save(schedule)

    def is_paused(self) -> bool:
        """Return True if the schedule is stored and paused."""
        found = self.schedules.get(NIGHTLY.id)
        return found is not None and found.next_due_s is None


@pytest.fixture
def harness(redis_url: str) -> Iterator[FiringHarness]:
    """A harness in a workspace without rate limits."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = FiringHarness(slack=slack, url=redis_url)
        harness.start_bot()
        yield harness
        harness.client.close()


def test_firings_during_the_previous_job_are_one_message_in_its_thread(harness: FiringHarness) -> None:
    """A firing that another bot repeats counts once."""
    schedule = harness.schedule()
    for due_s in (0.0, 60.0, 60.0, 120.0):
        harness.firing.fire(schedule, due_s)
    [record] = harness.queue.recent()
    [skipped] = harness.thread()
    assert "Schedule s1 was due 2 times from <!date^60^" in skipped.plain
    assert f"skipped, the previous one (#{record.id}) still waits" in skipped.plain
    harness.worker.heartbeat()
    claim = harness.worker.claim(record.id)
    assert claim is not None
    harness.firing.fire(schedule, 180.0)
    [skipped] = harness.thread()
    assert "3 times" in skipped.plain and "still runs" in skipped.plain
    harness.worker.finish(claim, e.Failed(reason="The gate failed.", advice=""))
    harness.firing.fire(schedule, 240.0)
    assert len(harness.queue.recent()) == 2
    assert len(harness.ada.messages()) == 2


def test_schedule_of_an_author_who_left_slack_pauses(harness: FiringHarness) -> None:
    schedule = harness.schedule()
    harness.firing.fire(replace(schedule, by="U0UNKNOWN01"), 0.0)
    [message] = harness.ada.messages()
    assert "no longer knows the user who created this schedule" in message.plain
    assert harness.is_paused()


def test_schedule_of_a_bot_that_is_not_trusted_pauses(harness: FiringHarness) -> None:
    schedule = harness.schedule()
    workspace = harness.slack.server.workspace
    workspace.people = tuple(replace(one, is_bot=True) for one in workspace.people)
    harness.firing.fire(schedule, 0.0)
    assert f"trusted_bots in the settings does not have {harness.ada.id}" in harness.ada.messages()[-1].plain
    assert harness.is_paused()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/model train tulips", "tulips"),
        ("/loadtest 10rps for 5s iris on mars", "mars"),
        ("/loadtest 10rps for 5s checkout", "checkout"),
        ("/loadtest 10rps for 25h on search", "at most"),
    ],
)
def test_schedule_that_cannot_run_any_more_reports_why_once_and_pauses(
    harness: FiringHarness, command: str, why: str
) -> None:
    schedule = harness.schedule(command)
    harness.firing.fire(schedule, 0.0)
    [message] = harness.ada.messages()
    assert why in message.plain and f"<@{harness.ada.id}>" in message.plain
    assert "`/schedule resume s1`" in message.plain and "`/schedule remove s1`" in message.plain
    assert "Did you mean" not in message.plain
    assert harness.is_paused()
    assert harness.queue.recent() == []


def test_schedule_of_an_author_who_lost_the_rights_pauses_at_the_next_firing(harness: FiringHarness) -> None:
    """A lookup of a moment ago does not count."""
    schedule = harness.schedule()
    harness.firing.fire(schedule, 0.0)
    [record] = harness.queue.recent()
    harness.end(record.id, "The gate failed.")
    workspace = harness.slack.server.workspace
    workspace.people = tuple(replace(one, is_restricted=True) for one in workspace.people)
    harness.firing.fire(schedule, 60.0)
    assert "Guests may not" in harness.ada.messages()[-1].plain
    assert harness.is_paused()
    assert len(harness.queue.recent()) == 1


def test_adding_a_schedule_with_a_short_interval_warns(harness: FiringHarness) -> None:
    def add(command: str) -> str:
        harness.firing.dispatcher.run(
            lambda desk: desk.read(command).answer(desk), user=harness.ada.id, channel=harness.channel, key=command
        )
        return harness.ada.messages()[-1].plain

    short = add('/schedule add "* * * * *" loadtest 10rps for 90s on search')
    assert "interval of 1 m is shorter than a job, which takes about 1 m 40 s" in short
    assert "shorter" not in add('/schedule add "*/5 * * * *" loadtest 10rps for 90s on search')
