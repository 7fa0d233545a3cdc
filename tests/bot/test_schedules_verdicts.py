"""A schedule's channel is called when its verdict changed: once, with what changed, and never otherwise."""

import threading
from collections.abc import Iterator

import pytest

from bot.local_slack.running import LocalSlack
from bot.local_slack.server import SlackSettings
from bot.schedules import Schedules
from tests.bot.relay_harness import NIGHTLY, RelayWorkshop, report


@pytest.fixture
def workshop(redis_url: str) -> Iterator[RelayWorkshop]:
    """Two bots, and one schedule."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        workshop = RelayWorkshop(slack=slack, url=redis_url)
        workshop.relay()
        workshop.relay()
        Schedules(workshop.client, store=workshop.store).keep(NIGHTLY)
        yield workshop
        workshop.client.close()


def test_the_first_night_and_nights_like_it_call_nobody(workshop: RelayWorkshop) -> None:
    """A card each, and nothing beside it."""
    for _ in range(3):
        workshop.night(report("PASS"))
    assert workshop.mentions() == []
    assert len(workshop.ada.messages()) == 3


def test_a_change_of_verdict_calls_the_channel_once_and_says_what_changed(workshop: RelayWorkshop) -> None:
    """From what to what, why, and where the card is; the next night like it calls nobody."""
    workshop.night(report("PASS"))
    workshop.night(report("FAIL", reason="p95 was 240 ms, over 200 ms."))
    workshop.night(report("FAIL", reason="p95 was 250 ms, over 200 ms."))
    (called,) = workshop.mentions()
    assert "*FAIL*, after *PASS* in job #1" in called.plain
    assert "p95 was 240 ms, over 200 ms." in called.plain
    assert "(schedule s1)" in called.plain
    card = workshop.ada.messages()[1]
    assert f"/archives/{card.channel}/p{card.ts.replace('.', '')}|" in called.plain
    workshop.night(report("PASS"))
    assert "*PASS*, after *FAIL* in job #3" in workshop.mentions()[-1].plain
    assert len(workshop.mentions()) == 2


def test_a_job_that_fails_is_a_change_too(workshop: RelayWorkshop) -> None:
    """A night without a verdict is no better than a bad one."""
    workshop.night(report("PASS"))
    workshop.night("Nothing answers as iris on staging.")
    (called,) = workshop.mentions()
    assert "*failed*, after *PASS*" in called.plain
    assert "Nothing answers as iris on staging." in called.plain


def test_a_job_that_somebody_cancelled_says_nothing_of_the_night(workshop: RelayWorkshop) -> None:
    """It is passed over: the next night is compared with the one before."""
    workshop.night(report("PASS"))
    workshop.queue.cancel(workshop.ask(scheduled_by="s1"), by="U1")
    workshop.show()
    workshop.night(report("PASS"))
    assert workshop.mentions() == []
    kept = workshop.store.result("s1")
    assert kept is not None
    assert (kept.job_id, kept.word) == ("3", "PASS")


def test_jobs_that_no_schedule_asked_for_call_nobody(workshop: RelayWorkshop) -> None:
    """What somebody typed is theirs; what a schedule asked for that is gone is nobody's."""
    for verdict in ("PASS", "FAIL"):
        workshop.end(workshop.ask(), report(verdict))
        workshop.show()
        workshop.end(workshop.ask(scheduled_by="s9"), report(verdict))
        workshop.show()
    assert workshop.mentions() == []


def test_many_bots_call_once(workshop: RelayWorkshop) -> None:
    """Eight look at the same instant, and again."""
    workshop.night(report("PASS"))
    for _ in range(6):
        workshop.relay()
    workshop.end(workshop.ask(scheduled_by="s1"), report("FAIL"))
    for _ in range(3):
        threads = [threading.Thread(target=relay.tick) for relay in workshop.relays]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(workshop.mentions()) == 1


@pytest.mark.parametrize("method", ["chat.getPermalink", "chat.postMessage"])
def test_a_call_that_slack_does_not_take_is_made_later(workshop: RelayWorkshop, method: str) -> None:
    """By another bot, once."""
    workshop.night(report("PASS"))
    job_id = workshop.ask(scheduled_by="s1")
    workshop.show()
    workshop.end(job_id, report("FAIL"))
    workshop.slack.fail_next(method, status=503)
    workshop.relays[0].tick()
    assert workshop.mentions() == []
    workshop.relays[1].tick()
    workshop.relays[1].tick()
    assert len(workshop.mentions()) == 1


def test_a_bot_that_dies_after_the_call_leaves_nothing_to_be_called_again(workshop: RelayWorkshop) -> None:
    """What it had not told of the job yet is told by another; the channel is not called twice."""
    workshop.night(report("PASS"))
    workshop.end(workshop.ask(scheduled_by="s1"), report("FAIL"), picture=b"\x89PNG")
    workshop.slack.fail_next("files.getUploadURLExternal", status=503)
    workshop.relays[0].tick()
    assert len(workshop.mentions()) == 1
    workshop.night(report("FAIL"))
    workshop.relays[1].tick()
    assert len(workshop.mentions()) == 1
    assert workshop.queue.dirty() == []
