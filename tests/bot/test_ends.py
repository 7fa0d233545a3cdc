"""Ends of jobs that reach people although Slack refuses: a message, a place or a moment, once or for minutes."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from bot import relay as relay_module
from bot.chat import ChatError, ChatUnavailable
from bot.local_slack.faults import Faults, SlackFault
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.state import PostedCard
from tests.bot.relay_harness import RelayHarness, report
from tests.bot.slack_app_harness import Clock
from workers.contract import events as e, wire

MINUTES = 60.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(relay_module, "time", SimpleNamespace(monotonic=clock, time=clock))
    return clock


@pytest.fixture
def harness(redis_url: str, clock: Clock) -> Iterator[RelayHarness]:
    """A harness with one bot in a workspace without rate limits."""
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = RelayHarness(slack=slack, url=redis_url)
        harness.relay()
        harness.worker.heartbeat()
        yield harness
        harness.client.close()


def tick_for(harness: RelayHarness, clock: Clock, seconds: float) -> None:
    """Let the bots render once a second."""
    for _ in range(int(seconds)):
        clock.now_s += 1.0
        harness.client.delete("seatrial:bot:edits")  # the budget of edits follows Redis' clock
        harness.tick()


def card(harness: RelayHarness, job_id: str) -> PostedCard:
    found = harness.store.card(job_id)
    assert found is not None
    return found


def with_card(harness: RelayHarness, job_id: str) -> str:
    """Post the job's card, as the bot's intake does, and return the id."""
    record = harness.queue.record(job_id)
    assert record is not None
    harness.relays[0].cards.post(record)
    return job_id


def shown(harness: RelayHarness, job_id: str) -> str:
    """Return the text of the message that is the job's card."""
    message = harness.ada.message(card(harness, job_id).ts)
    return message.plain if message else ""


CODES = [
    "message_not_found",
    "update_failed",
    "is_archived",
    "channel_not_found",
    "token_revoked",
    "streaming_state_conflict",
]


@pytest.mark.parametrize("minutes", [0, 10])
@pytest.mark.parametrize("error", [*CODES, "some_new_error", ""])
def test_end_is_shown_after_refused_edits(harness: RelayHarness, clock: Clock, error: str, minutes: int) -> None:
    """Refused once, or for ten minutes. An empty error is a fault of Slack (503)."""
    job_id = with_card(harness, harness.ask())
    harness.end(job_id, report(), line="a line")
    refusal: Any = {"status": 200, "error": error} if error else {"status": 503}
    harness.slack.fail_next("chat.update", times=1, **refusal)
    tick_for(harness, clock, 1)
    for _ in range(minutes):
        harness.slack.stop_failing()
        harness.slack.fail_next("chat.update", times=60, **refusal)
        harness.slack.fail_next("chat.postMessage", times=60, **refusal)
        tick_for(harness, clock, MINUTES)
    harness.slack.stop_failing()
    tick_for(harness, clock, 2 * MINUTES)
    assert "PASS" in shown(harness, job_id)
    assert harness.queue.dirty() == []
    assert "a line" in "\n".join(reply.plain for reply in harness.thread())


def test_deleted_card_is_replaced_with_its_thread_and_files(harness: RelayHarness, clock: Clock) -> None:
    job_id = with_card(harness, harness.ask())
    first = card(harness, job_id)
    workspace = harness.slack.server.workspace
    workspace.delete(workspace.message(first.channel, first.ts))
    harness.end(job_id, report(), line="a line", picture=b"\x89PNG")
    tick_for(harness, clock, 30)
    assert card(harness, job_id).ts != first.ts
    assert "PASS" in shown(harness, job_id)
    replies = list(harness.ada.thread(harness.ada.message(card(harness, job_id).ts)))  # type: ignore[arg-type]
    assert "a line" in "\n".join(reply.plain for reply in replies)
    assert [file for reply in replies for file in reply.files]


def test_asker_is_told_an_end_that_the_channel_refuses_and_the_card_follows(
    harness: RelayHarness, clock: Clock
) -> None:
    """A channel is archived for a minute while the job ends. The asker reads the end in a direct message, once."""
    job_id = with_card(harness, harness.ask_as(harness.ada.id))
    harness.end(job_id, "The target does not answer.")
    harness.slack.fail_next("chat.update", times=1000, status=200, error="is_archived")
    tick_for(harness, clock, MINUTES)
    harness.slack.stop_failing()
    direct = [one.plain for one in harness.ada.messages(f"D{harness.ada.id[1:]}")]
    assert len(direct) == 1 and f"Job #{job_id}" in direct[0] and "failed" in direct[0] and "is_archived" in direct[0]
    tick_for(harness, clock, 2 * MINUTES)
    assert "failed" in shown(harness, job_id)


def test_card_is_given_up_after_an_hour(harness: RelayHarness, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    job_id = with_card(harness, harness.ask())
    harness.end(job_id, "The target does not answer.")
    harness.slack.fail_next("chat.update", times=1000, status=200, error="is_archived")
    tick_for(harness, clock, 61 * MINUTES)
    assert "given up" in caplog.text
    assert harness.queue.dirty() == []


def test_one_refused_card_does_not_delay_the_others(harness: RelayHarness, clock: Clock) -> None:
    refused, other = with_card(harness, harness.ask()), with_card(harness, harness.ask())
    harness.end(refused, report())
    harness.end(other, report())
    harness.slack.fail_next("chat.update", status=200, error="is_archived")
    harness.tick()
    assert "PASS" in shown(harness, other)


def test_card_says_that_no_worker_is_alive_until_one_is(harness: RelayHarness, clock: Clock) -> None:
    job_id = with_card(harness, harness.ask())
    harness.worker.deregister()
    tick_for(harness, clock, 10)
    assert "No worker is alive" not in shown(harness, job_id)
    tick_for(harness, clock, 10)
    assert "No worker is alive" in shown(harness, job_id)
    harness.worker.heartbeat()
    tick_for(harness, clock, 10)
    assert "No worker is alive" not in shown(harness, job_id)


def mentions(harness: RelayHarness, job_id: str) -> list[str]:
    """Return the replies under the card that mention the asker."""
    message = harness.ada.message(card(harness, job_id).ts)
    assert message is not None
    return [reply.plain for reply in harness.ada.thread(message) if "Ada" in reply.plain or "<@" in reply.plain]


@pytest.mark.parametrize(("lasted_s", "notified"), [(30, False), (90, True)])
def test_asker_is_mentioned_once_at_the_end_of_a_long_job(
    harness: RelayHarness, clock: Clock, lasted_s: int, notified: bool
) -> None:
    """Also with two bots, and after the card is rendered again."""
    harness.relay()
    job_id = with_card(harness, harness.ask_as(harness.ada.id, ago_s=lasted_s))
    harness.end(job_id, report())
    tick_for(harness, clock, 10)
    harness.client.zadd("seatrial:changed", {job_id: 1.0})
    tick_for(harness, clock, 10)
    assert len(mentions(harness, job_id)) == notified


def test_asker_is_told_that_a_request_expired(harness: RelayHarness, clock: Clock) -> None:
    job_id = harness.request_as(harness.ada.id, approvers=("@ml-leads",), for_s=-1.0)
    tick_for(harness, clock, 10)
    assert ["expired without approval" in reply for reply in mentions(harness, job_id)] == [True]


def test_approvers_are_mentioned_when_asked_and_reminded_halfway(harness: RelayHarness, clock: Clock) -> None:
    """The group is mentioned by its id, which notifies its members. Rounds repeat nothing."""
    job_id = harness.request_as(harness.ada.id, approvers=("@ml-leads",), for_s=1000.0)
    harness.tick()
    announcer = harness.relays[0].announcer
    for _ in range(3):
        announcer.round()
    posted = [call.arguments["text"] for call in harness.slack.calls("chat.postMessage")]
    assert len([text for text in posted if "<!subteam^S" in text]) == 1
    key = f"seatrial:job:{job_id}:events"
    request = harness.queue.events(job_id)[0]
    assert isinstance(request, e.ApprovalRequested)
    harness.client.lset(key, 0, _earlier(request))
    for _ in range(3):
        announcer.round()
    posted = [call.arguments["text"] for call in harness.slack.calls("chat.postMessage")]
    assert len([text for text in posted if "<!subteam^S" in text]) == 2
    assert "expires in" in posted[-1]


def _earlier(request: e.ApprovalRequested) -> bytes:
    return wire.EVENT.encode(replace(request, at_s=request.at_s - 600.0, expires_at_s=request.expires_at_s - 600.0))


def test_card_whose_answer_was_lost_is_taken_over(harness: RelayHarness, clock: Clock) -> None:
    """The post arrived, and Slack answered with a fault. The second try finds the card by its metadata."""
    record = harness.queue.record(harness.reserve())
    assert record is not None
    poster = harness.relays[0].cards
    harness.slack.fail_next("chat.postMessage", status=500, after_action=True)
    with pytest.raises(ChatUnavailable):
        poster.post(record)
    taken = poster.post(record, again=True)
    assert [message.ts for message in harness.ada.messages()] == [taken.ts]
    other = harness.queue.record(harness.reserve())
    assert other is not None
    assert poster.post(other, again=True).ts != taken.ts


def test_replacement_whose_answer_was_lost_is_taken_over(harness: RelayHarness, clock: Clock) -> None:
    """The deleted card is not taken over again, although the history of a workspace may still have it."""
    job_id = with_card(harness, harness.ask())
    first = card(harness, job_id)
    harness.end(job_id, report())
    harness.slack.fail_next("chat.update", times=2, status=200, error="cant_update_message")
    harness.slack.fail_next("chat.postMessage", status=500, after_action=True)
    tick_for(harness, clock, 30)
    assert card(harness, job_id).ts != first.ts
    assert "PASS" in shown(harness, job_id)
    assert len([message for message in harness.ada.messages() if not message.thread_ts]) == 2


def test_deleted_card_of_a_request_is_posted_again_with_its_buttons(harness: RelayHarness, clock: Clock) -> None:
    """The mention of its approvers finds that it is gone."""
    job_id = with_card(harness, harness.request_as(harness.ada.id, approvers=("@ml-leads",), for_s=1000.0))
    first = card(harness, job_id)
    workspace = harness.slack.server.workspace
    workspace.delete(workspace.message(first.channel, first.ts))
    harness.relays[0].announcer.round()
    tick_for(harness, clock, 5)
    message = harness.ada.message(card(harness, job_id).ts)
    assert message is not None and [button.label for button in message.buttons] == ["Approve", "Deny", "Cancel"]


def test_card_is_posted_if_the_history_may_not_be_read(harness: RelayHarness, clock: Clock) -> None:
    record = harness.queue.record(harness.reserve())
    assert record is not None
    harness.slack.fail_next("conversations.history", status=200, error="missing_scope")
    harness.relays[0].cards.post(record, again=True)
    assert len(harness.ada.messages()) == 1


@pytest.mark.parametrize("count", [int(os.environ.get("SEATRIAL_TEST_JOBS", "40"))])
def test_every_end_is_shown_once_if_slack_refuses_every_tenth_call(
    harness: RelayHarness, clock: Clock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Calls are refused at random, before or after the deed. Within a minute of the last one, all ends are shown."""
    random = Random(10)
    codes = ["", "", "update_failed", "is_archived", "internal_error", "ratelimited"]

    def next_for(_: Faults, method: str) -> SlackFault | None:
        if random.random() >= 0.1 or not method.startswith("chat."):
            return None
        error = random.choice(codes)
        lost = not error and method == "chat.postMessage"
        return SlackFault(method=method, status=200 if error else 500, error=error, after_action=lost)

    monkeypatch.setattr(Faults, "next_for", next_for)
    jobs = []
    for _ in range(count):
        record = harness.queue.record(harness.reserve())
        assert record is not None
        for again in (False, *[True] * 20):
            with suppress(ChatError):
                harness.relays[0].cards.post(record, again=again)
                break
        harness.queue.submit(record.id)
        harness.end(record.id, report(), line="a line")
        jobs.append(record.id)
        tick_for(harness, clock, 1)
    monkeypatch.undo()
    monkeypatch.setattr(relay_module, "time", SimpleNamespace(monotonic=clock, time=clock))
    tick_for(harness, clock, MINUTES)
    assert [job_id for job_id in jobs if "PASS" not in shown(harness, job_id)] == []
    assert len([message for message in harness.ada.messages() if not message.thread_ts]) == count
    assert harness.queue.dirty() == []
