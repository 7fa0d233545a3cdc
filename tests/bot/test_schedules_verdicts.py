"""Notifications of a schedule's channel: one for each change of result, and no other."""

import threading
from collections.abc import Iterator

import pytest

from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.schedules.repository import Schedules
from tests.bot.relay_harness import NIGHTLY, RelayHarness, report


@pytest.fixture
def harness(redis_url: str) -> Iterator[RelayHarness]:
    """Yield a harness with two bots and one schedule."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = RelayHarness(slack=slack, url=redis_url)
        harness.relay()
        harness.relay()
        Schedules(harness.client, store=harness.store).save(NIGHTLY)
        yield harness
        harness.client.close()


def test_equal_results_notify_the_channel_of_nothing(harness: RelayHarness) -> None:
    """Each job has its card."""
    for _ in range(3):
        harness.night(report("PASS"))
    assert harness.mentions() == []
    assert len(harness.ada.messages()) == 3


def test_changed_verdict_notifies_the_channel_once_with_the_reason(harness: RelayHarness) -> None:
    """The notification has both verdicts, the reason and a link to the card."""
    harness.night(report("PASS"))
    harness.night(report("FAIL", reason="p95 was 240 ms, over 200 ms."))
    harness.night(report("FAIL", reason="p95 was 250 ms, over 200 ms."))
    (notification,) = harness.mentions()
    assert "*FAIL*, after *PASS* in job #1" in notification.plain
    assert "p95 was 240 ms, over 200 ms." in notification.plain
    assert "(schedule s1)" in notification.plain
    card = harness.ada.messages()[1]
    assert f"/archives/{card.channel}/p{card.ts.replace('.', '')}|" in notification.plain
    harness.night(report("PASS"))
    assert "*PASS*, after *FAIL* in job #3" in harness.mentions()[-1].plain
    assert len(harness.mentions()) == 2


def test_failed_job_after_a_verdict_notifies_the_channel(harness: RelayHarness) -> None:
    harness.night(report("PASS"))
    harness.night("No replica of iris is ready on staging.")
    (notification,) = harness.mentions()
    assert "*failed*, after *PASS*" in notification.plain
    assert "No replica of iris is ready on staging." in notification.plain


def test_cancelled_job_is_not_compared(harness: RelayHarness) -> None:
    """The next job is compared with the one before the cancelled job."""
    harness.night(report("PASS"))
    harness.queue.cancel(harness.ask(scheduled_by="s1"), by="U1")
    harness.tick()
    harness.night(report("PASS"))
    assert harness.mentions() == []
    stored = harness.store.result("s1")
    assert stored is not None
    assert (stored.job_id, stored.status) == ("3", "PASS")


def test_jobs_without_a_schedule_notify_no_one(harness: RelayHarness) -> None:
    """A job of a removed schedule counts as one without a schedule."""
    for verdict in ("PASS", "FAIL"):
        harness.end(harness.ask(), report(verdict))
        harness.tick()
        harness.end(harness.ask(scheduled_by="s9"), report(verdict))
        harness.tick()
    assert harness.mentions() == []


def test_many_bots_notify_once(harness: RelayHarness) -> None:
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
def test_failed_notification_is_retried_by_another_bot(harness: RelayHarness, method: str) -> None:
    harness.night(report("PASS"))
    job_id = harness.ask(scheduled_by="s1")
    harness.tick()
    harness.end(job_id, report("FAIL"))
    harness.slack.fail_next(method, status=503)
    harness.relays[0].tick()
    assert harness.mentions() == []
    harness.relays[1].tick()
    harness.relays[1].tick()
    assert len(harness.mentions()) == 1


def test_notification_is_not_repeated_after_a_failed_upload(harness: RelayHarness) -> None:
    """Another bot posts the rest of the thread."""
    harness.night(report("PASS"))
    harness.end(harness.ask(scheduled_by="s1"), report("FAIL"), picture=b"\x89PNG")
    harness.slack.fail_next("files.getUploadURLExternal", status=503)
    harness.relays[0].tick()
    assert len(harness.mentions()) == 1
    harness.night(report("FAIL"))
    harness.relays[1].tick()
    assert len(harness.mentions()) == 1
    assert harness.queue.dirty() == []
