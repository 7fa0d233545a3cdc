"""A schedule's channel is called when its verdict changed: once, with what changed, and never otherwise."""

import threading
from collections.abc import Iterator

import pytest

from bot.local_slack.running import LocalSlack
from bot.local_slack.server import SlackSettings
from bot.schedules import Schedules
from tests.bot.relay_harness import NIGHTLY, RelayHarness, report


@pytest.fixture
def harness(redis_url: str) -> Iterator[RelayHarness]:
    """Two bots, and one schedule."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = RelayHarness(slack=slack, url=redis_url)
        harness.relay()
        harness.relay()
        Schedules(harness.client, store=harness.store).keep(NIGHTLY)
        yield harness
        harness.client.close()


def test_the_first_night_and_nights_like_it_call_nobody(harness: RelayHarness) -> None:
    """A card each, and nothing beside it."""
    for _ in range(3):
        harness.night(report("PASS"))
    assert harness.mentions() == []
    assert len(harness.ada.messages()) == 3


def test_a_change_of_verdict_calls_the_channel_once_and_says_what_changed(harness: RelayHarness) -> None:
    """From what to what, why, and where the card is; the next night like it calls nobody."""
    harness.night(report("PASS"))
    harness.night(report("FAIL", reason="p95 was 240 ms, over 200 ms."))
    harness.night(report("FAIL", reason="p95 was 250 ms, over 200 ms."))
    (called,) = harness.mentions()
    assert "*FAIL*, after *PASS* in job #1" in called.plain
    assert "p95 was 240 ms, over 200 ms." in called.plain
    assert "(schedule s1)" in called.plain
    card = harness.ada.messages()[1]
    assert f"/archives/{card.channel}/p{card.ts.replace('.', '')}|" in called.plain
    harness.night(report("PASS"))
    assert "*PASS*, after *FAIL* in job #3" in harness.mentions()[-1].plain
    assert len(harness.mentions()) == 2


def test_a_job_that_fails_is_a_change_too(harness: RelayHarness) -> None:
    """A night without a verdict is no better than a bad one."""
    harness.night(report("PASS"))
    harness.night("Nothing answers as iris on staging.")
    (called,) = harness.mentions()
    assert "*failed*, after *PASS*" in called.plain
    assert "Nothing answers as iris on staging." in called.plain


def test_a_job_that_somebody_cancelled_says_nothing_of_the_night(harness: RelayHarness) -> None:
    """It is passed over: the next night is compared with the one before."""
    harness.night(report("PASS"))
    harness.queue.cancel(harness.ask(scheduled_by="s1"), by="U1")
    harness.show()
    harness.night(report("PASS"))
    assert harness.mentions() == []
    kept = harness.store.result("s1")
    assert kept is not None
    assert (kept.job_id, kept.status) == ("3", "PASS")


def test_jobs_that_no_schedule_asked_for_call_nobody(harness: RelayHarness) -> None:
    """What somebody typed is theirs; what a schedule asked for that is gone is nobody's."""
    for verdict in ("PASS", "FAIL"):
        harness.end(harness.ask(), report(verdict))
        harness.show()
        harness.end(harness.ask(scheduled_by="s9"), report(verdict))
        harness.show()
    assert harness.mentions() == []


def test_many_bots_call_once(harness: RelayHarness) -> None:
    """Eight look at the same instant, and again."""
    harness.night(report("PASS"))
    for _ in range(6):
        harness.relay()
    harness.end(harness.ask(scheduled_by="s1"), report("FAIL"))
    for _ in range(3):
        threads = [threading.Thread(target=relay.tick) for relay in harness.relays]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(harness.mentions()) == 1


@pytest.mark.parametrize("method", ["chat.getPermalink", "chat.postMessage"])
def test_a_call_that_slack_does_not_take_is_made_later(harness: RelayHarness, method: str) -> None:
    """By another bot, once."""
    harness.night(report("PASS"))
    job_id = harness.ask(scheduled_by="s1")
    harness.show()
    harness.end(job_id, report("FAIL"))
    harness.slack.fail_next(method, status=503)
    harness.relays[0].tick()
    assert harness.mentions() == []
    harness.relays[1].tick()
    harness.relays[1].tick()
    assert len(harness.mentions()) == 1


def test_a_bot_that_dies_after_the_call_leaves_nothing_to_be_called_again(harness: RelayHarness) -> None:
    """What it had not told of the job yet is told by another; the channel is not called twice."""
    harness.night(report("PASS"))
    harness.end(harness.ask(scheduled_by="s1"), report("FAIL"), picture=b"\x89PNG")
    harness.slack.fail_next("files.getUploadURLExternal", status=503)
    harness.relays[0].tick()
    assert len(harness.mentions()) == 1
    harness.night(report("FAIL"))
    harness.relays[1].tick()
    assert len(harness.mentions()) == 1
    assert harness.queue.dirty() == []
