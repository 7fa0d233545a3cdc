"""The thread under a card: lines, files and charts, each once, and only after cards that wait."""

from collections.abc import Iterator

import pytest

from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from tests.bot.relay_harness import RelayHarness, report
from workers.contract import events as e
from workers.contract.jobs import Tested

PNG = b"\x89PNG"


def harness_with(url: str, settings: SlackSettings) -> Iterator[RelayHarness]:
    """Yield a harness with one bot in a workspace with these settings."""
    with LocalSlack(settings) as slack:
        harness = RelayHarness(slack=slack, url=url)
        harness.relay()
        yield harness
        harness.client.close()


@pytest.fixture
def harness(redis_url: str) -> Iterator[RelayHarness]:
    """Yield a harness with one bot."""
    yield from harness_with(redis_url, SlackSettings(rate_limits=False))


@pytest.fixture
def without_charts(redis_url: str) -> Iterator[RelayHarness]:
    """Yield a harness with one bot in a workspace that does not have charts yet."""
    settings = SlackSettings(rate_limits=False, unknown_blocks=frozenset({"data_visualization"}))
    yield from harness_with(redis_url, settings)


def charts_in(harness: RelayHarness) -> list[str]:
    """Return the titles of the charts in the newest card's thread."""
    blocks = [block for one in harness.thread() for block in one.blocks]
    return [block["title"] for block in blocks if block["type"] == "data_visualization"]


def pictures_in(harness: RelayHarness) -> list[str]:
    """Return the names of the files in the newest card's thread."""
    return [file.name for one in harness.thread() for file in one.files]


def test_thread_of_a_load_test_has_charts_and_the_picture(harness: RelayHarness) -> None:
    """Both charts are in one message, with a text for screen readers."""
    harness.end(harness.ask(), report("PASS"), picture=PNG)
    harness.tick()
    harness.tick()
    assert len(charts_in(harness)) == 2
    assert pictures_in(harness) == ["chart.png"]
    assert harness.thread()[-1].text.startswith("PASS: load test iris")


def test_thread_has_only_the_picture_if_slack_refuses_charts(without_charts: RelayHarness) -> None:
    """The relay tries a chart once."""
    for _ in range(2):
        without_charts.end(without_charts.ask(), report("PASS"), picture=PNG)
        without_charts.tick()
        assert charts_in(without_charts) == []
        assert pictures_in(without_charts) == ["chart.png"]
    refused = [call for call in without_charts.slack.calls("chat.postMessage") if call.error == "invalid_blocks"]
    assert len(refused) == 1
    assert without_charts.queue.dirty() == []


@pytest.mark.parametrize("ended", [report("INVALID"), "The target does not answer."])
def test_failed_upload_is_retried_and_lines_are_not_repeated(harness: RelayHarness, ended: Tested | str) -> None:
    harness.relay()
    harness.end(harness.ask(), ended, picture=PNG, line="found v3")
    harness.slack.fail_next("files.completeUploadExternal", status=503)
    harness.tick()
    harness.tick()
    assert sum("found v3" in one.plain for one in harness.thread()) == 1
    assert pictures_in(harness) == ["chart.png"]
    assert harness.queue.dirty() == []


def test_thread_waits_until_the_channel_has_all_its_cards(harness: RelayHarness) -> None:
    """The card shows the end at once."""
    waiting = harness.reserve()
    harness.end(harness.ask(), report("PASS"), picture=PNG, line="found v3")
    harness.tick()
    assert "· PASS" in harness.ada.messages()[-1].plain
    assert harness.thread() == []
    harness.queue.discard(waiting)
    harness.tick()
    assert pictures_in(harness) == ["chart.png"]


def test_card_shows_the_end_as_text_if_slack_refuses_its_blocks(harness: RelayHarness) -> None:
    """Otherwise the card would show a running job for ever."""
    harness.worker.heartbeat()
    claim = harness.worker.claim(harness.ask())
    assert claim is not None
    harness.tick()
    assert harness.worker.finish(claim, e.Succeeded(outcome=report("PASS")))
    harness.slack.fail_next("chat.update", status=200, error="invalid_blocks")
    harness.tick()
    card = harness.ada.messages()[-1]
    assert "· PASS" in card.text
    assert card.blocks == ()
    assert harness.queue.dirty() == []
