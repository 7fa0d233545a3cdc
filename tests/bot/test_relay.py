"""What the relay puts under a card: lines, files and charts, each once, and after the cards that wait."""

import time
from collections.abc import Iterator

import pytest

from bot.local_slack.running import LocalSlack
from bot.local_slack.server import SlackSettings
from tests.bot.relay_harness import RelayHarness, report
from workers.contract import events as e
from workers.contract.jobs import Tested

PNG = b"\x89PNG"


def workshop_with(url: str, settings: SlackSettings) -> Iterator[RelayHarness]:
    """One bot in a workspace of these settings."""
    with LocalSlack(settings) as slack:
        harness = RelayHarness(slack=slack, url=url)
        harness.relay()
        yield harness
        harness.client.close()


@pytest.fixture
def harness(redis_url: str) -> Iterator[RelayHarness]:
    """One bot in a workspace that has all there is."""
    yield from workshop_with(redis_url, SlackSettings(rate_limits=False))


@pytest.fixture
def without_charts(redis_url: str) -> Iterator[RelayHarness]:
    """One bot in a workspace to which charts have not come yet."""
    settings = SlackSettings(rate_limits=False, unknown_blocks=frozenset({"data_visualization"}))
    yield from workshop_with(redis_url, settings)


def charts_in(harness: RelayHarness) -> list[str]:
    """The titles of the charts in the newest card's thread."""
    blocks = [block for one in harness.thread() for block in one.blocks]
    return [block["title"] for block in blocks if block["type"] == "data_visualization"]


def pictures_in(harness: RelayHarness) -> list[str]:
    """The files in the newest card's thread."""
    return [file.name for one in harness.thread() for file in one.files]


def test_a_load_tests_charts_are_in_its_thread_beside_the_picture(harness: RelayHarness) -> None:
    """Rate and latency as Slack draws them, in one message that says in words what it is."""
    harness.end(harness.ask(), report("PASS"), picture=PNG)
    harness.show()
    harness.show()
    assert len(charts_in(harness)) == 2
    assert pictures_in(harness) == ["chart.png"]
    assert harness.thread()[-1].text.startswith("PASS: load test iris")


def test_where_slack_has_no_charts_the_picture_is_the_chart(without_charts: RelayHarness) -> None:
    """The first refusal is remembered; the job is shown whole all the same."""
    for _ in range(2):
        without_charts.end(without_charts.ask(), report("PASS"), picture=PNG)
        without_charts.show()
        assert charts_in(without_charts) == []
        assert pictures_in(without_charts) == ["chart.png"]
    refused = [call for call in without_charts.slack.calls("chat.postMessage") if call.error == "invalid_blocks"]
    assert len(refused) == 1
    assert without_charts.queue.dirty() == []


@pytest.mark.parametrize("ended", [report("INVALID"), "The target does not answer."])
def test_a_file_that_slack_does_not_take_is_posted_later_and_nothing_twice(
    harness: RelayHarness, ended: Tested | str
) -> None:
    """The line is told once, the picture comes once, whatever the job came to."""
    harness.relay()
    harness.end(harness.ask(), ended, picture=PNG, line="found v3")
    harness.slack.fail_next("files.completeUploadExternal", status=503)
    harness.show()
    harness.show()
    assert sum("found v3" in one.plain for one in harness.thread()) == 1
    assert pictures_in(harness) == ["chart.png"]
    assert harness.queue.dirty() == []


def test_a_card_that_waits_goes_before_what_a_thread_is_told(harness: RelayHarness) -> None:
    """The end is on the card at once; its thread follows when the channel has all its cards."""
    waits = harness.reserve()
    harness.end(harness.ask(), report("PASS"), picture=PNG, line="found v3")
    harness.show()
    assert "· PASS" in harness.ada.messages()[-1].plain
    assert harness.thread() == []
    harness.queue.discard(waits)
    harness.show()
    assert pictures_in(harness) == ["chart.png"]


def test_the_end_is_shown_in_words_where_slack_does_not_take_the_card(harness: RelayHarness) -> None:
    """Otherwise a job that has ended would be shown as running for ever."""
    harness.worker.heartbeat()
    claim = harness.worker.claim(harness.ask())
    assert claim is not None
    harness.show()
    assert harness.worker.finish(claim, e.Succeeded(at_s=time.time(), outcome=report("PASS")))
    harness.slack.fail_next("chat.update", status=200, error="invalid_blocks")
    harness.show()
    card = harness.ada.messages()[-1]
    assert "· PASS" in card.text
    assert card.blocks == ()
    assert harness.queue.dirty() == []
