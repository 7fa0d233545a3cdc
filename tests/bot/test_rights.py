"""Rights to decide, cancel and speak: at the moment of a click, bound to the card; other bots; Enterprise Grid."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bot.cards.card import reference
from bot.chat import Chat
from bot.local_slack.members import GROUPS, TEAM_ID, WorkspaceMember
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.lookup import published
from tests.bot.lookup import settings
from tests.bot.test_listeners import ListenersHarness
from tests.waiting import wait_until
from workers.contract.queue import Catalogue
from workers.contract.record import Record
from workers.contract.settings import Approvals, ChatSettings, SettingsFile

OUTDATED = "This button is out of date. Nothing was changed."


def guarded(**approvals: Any) -> SettingsFile:
    """Return settings in which production needs approvals."""
    file = settings(environments={"staging": False, "production": True})
    rule = Approvals.model_validate(approvals)
    production = file.environments["production"].model_copy(update={"approvals": rule})
    return file.model_copy(update={"environments": file.environments | {"production": production}})


@pytest.fixture
def harness(redis_url: str) -> Iterator[ListenersHarness]:
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = ListenersHarness(slack=slack, url=redis_url)
        harness.start_bot(guarded())
        Catalogue(harness.client).publish_versions("iris", [published("iris", 1), published("iris", 2)])
        yield harness
        harness.client.close()


def request(harness: ListenersHarness, command: str = "/deploy v1 to production") -> Record:
    """Type a command that needs approval as Ada, and return the job when it waits."""
    before = len(harness.queue.recent())
    harness.command(command, trigger=command)
    return wait_until(lambda: next((one for one in harness.queue.recent()[: -before or None] if one.approval), None))


def card_of(harness: ListenersHarness, job_id: str) -> dict[str, str]:
    """Return the container of a click on the job's card."""
    card = wait_until(lambda: harness.store.card(job_id))
    return {"type": "message", "channel_id": card.channel, "message_ts": card.ts}


def answer(harness: ListenersHarness) -> str:
    return wait_until(lambda: harness.replies)[-1]


def state(harness: ListenersHarness, job_id: str) -> str:
    record = harness.queue.record(job_id)
    return record.state if record else ""


def test_click_on_the_own_card_decides(harness: ListenersHarness) -> None:
    job_id, grace = request(harness).id, harness.slack.person("Grace").id
    harness.click("approve", job_id, container=card_of(harness, job_id), by=grace)
    wait_until(lambda: state(harness, job_id) == "queued")


def test_click_that_is_faster_than_the_stored_place_of_its_card_decides(harness: ListenersHarness) -> None:
    job_id, grace = request(harness).id, harness.slack.person("Grace").id
    place = card_of(harness, job_id)
    at = f"seatrial:bot:at:{place['channel_id']}:{place['message_ts']}"
    card = harness.client.dump(f"seatrial:bot:card:{job_id}")
    harness.client.delete(at, f"seatrial:bot:card:{job_id}")
    harness.click("deny", job_id, container=place, by=grace)
    harness.client.set(at, job_id)
    harness.client.restore(f"seatrial:bot:card:{job_id}", 0, card)
    wait_until(lambda: state(harness, job_id) == "denied" or harness.replies)
    assert state(harness, job_id) == "denied"


def test_click_on_a_card_of_another_job_with_the_same_number_is_out_of_date(harness: ListenersHarness) -> None:
    """Redis lost its data: the number comes again, for more replicas."""
    old = request(harness)
    place, value, grace = card_of(harness, old.id), reference(old), harness.slack.person("Grace").id
    versions = harness.client.hgetall("seatrial:versions:iris")
    harness.client.flushall()
    harness.client.hset("seatrial:versions:iris", mapping=versions)
    new = request(harness, "/deploy v1 to production replicas 4..8")
    assert new.id == old.id
    harness.click("approve", old.id, value=value, container=place, by=grace)
    assert OUTDATED in answer(harness)
    harness.click("approve", old.id, value=reference(new), container=place, by=grace)
    wait_until(lambda: len(harness.replies) == 2)
    harness.click("approve", old.id, value=value, container=card_of(harness, new.id), by=grace)
    wait_until(lambda: len(harness.replies) == 3)
    assert all(OUTDATED in reply for reply in harness.replies)
    assert state(harness, new.id) == "awaiting_approval"


@pytest.mark.parametrize("value", ["", "1", "1:", "x:y", "999:0000", "1:" + "0" * 5000])
def test_value_that_no_card_has_is_out_of_date(harness: ListenersHarness, value: str) -> None:
    """A button of the release before has the job's number only."""
    job_id = request(harness).id
    harness.click("approve", job_id, value=value or "-", container=card_of(harness, job_id))
    assert OUTDATED in answer(harness)
    assert state(harness, job_id) == "awaiting_approval"


def test_button_that_no_listener_knows_is_out_of_date(harness: ListenersHarness) -> None:
    harness.listeners._on_unknown(lambda: None, lambda **reply: harness.replies.append(reply["text"]))
    assert OUTDATED in answer(harness)


def test_rights_are_those_at_the_click(harness: ListenersHarness) -> None:
    """Grace approves one request, then leaves the group; her next approval is refused at once."""
    grace = harness.slack.person("Grace").id
    harness.start_bot(guarded(**{"from": ("@ml-leads",)}))
    first = request(harness)
    harness.click("approve", first.id, by=grace)
    wait_until(lambda: state(harness, first.id) == "queued")
    others = tuple(member for member in GROUPS[0].members if member != grace)
    harness.slack.server.workspace.groups = (replace(GROUPS[0], members=others),)
    second = request(harness, "/deploy v2 to production")
    harness.click("approve", second.id, by=grace)
    assert "Only the approvers" in answer(harness)
    assert state(harness, second.id) == "awaiting_approval"


def test_request_under_a_changed_rule_is_asked_again(harness: ListenersHarness) -> None:
    """Both at the click and at the start of a bot. Approvals under the old rule do not count."""
    grace, linus = harness.slack.person("Grace").id, harness.slack.person("Linus").id
    harness.start_bot(guarded(count=2))
    job_id = request(harness).id
    old = reference(request_of(harness, job_id))
    harness.click("approve", job_id, by=grace)
    wait_until(lambda: request_of(harness, job_id).approved_by == (grace,))
    harness.start_bot(guarded(count=2, own=True))
    harness.click("approve", job_id, by=linus)
    assert "The rule for approvals has changed" in answer(harness)
    record = request_of(harness, job_id)
    assert record.state == "awaiting_approval" and record.approved_by == ()
    assert record.approval is not None and record.approval.own and record.approval.again
    harness.click("approve", job_id, value=old, by=linus)
    wait_until(lambda: OUTDATED in harness.replies[-1])
    harness.start_bot(guarded(count=3))
    harness.bot._ask_again()
    record = request_of(harness, job_id)
    assert record.approval is not None and record.approval.count == 3


def request_of(harness: ListenersHarness, job_id: str) -> Record:
    record = harness.queue.record(job_id)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("who", "allowed"), [("Ada", True), ("Grace", True), ("Edsger", False), ("Linus", False), ("Mallory", False)]
)
def test_job_is_cancelled_by_its_asker_or_its_approvers(harness: ListenersHarness, who: str, allowed: bool) -> None:
    approver = harness.slack.person("Grace").id
    harness.start_bot(guarded(**{"from": (approver,)}))
    job_id = request(harness).id
    harness.click("cancel", job_id, by=harness.slack.person(who).id)
    if allowed:
        wait_until(lambda: state(harness, job_id) == "cancelled")
    else:
        assert "Guests" in answer(harness) or "only the person who asked for it" in answer(harness)
        assert state(harness, job_id) == "awaiting_approval"


def test_everybody_may_stop_a_load_test(harness: ListenersHarness) -> None:
    job_id = harness.ask()
    harness.click("cancel", job_id, by=harness.slack.person("Edsger").id)
    wait_until(lambda: state(harness, job_id) == "cancelled")


def test_schedule_is_changed_by_its_author_only(harness: ListenersHarness) -> None:
    """Approvers and administrators may, too; here there are none. Everybody may run it."""
    edsger = harness.slack.person("Edsger").id
    harness.command('/schedule add "0 2 * * *" deploy v1 to staging', trigger="add")
    wait_until(lambda: schedules(harness))
    for action in ("pause", "remove", "resume"):
        harness.replies.clear()
        harness.command(f"/schedule {action} s1", trigger=action, by=edsger)
        assert "You may not change schedule s1" in answer(harness)
    harness.replies.clear()
    harness.command("/schedule remove s1", trigger="own")
    assert "s1" in answer(harness)
    assert not schedules(harness)


@pytest.mark.parametrize(
    "app",
    [
        {"bot_id": "B0OTHER123"},
        {"app_id": "A0OTHER123"},
        {"bot_profile": {"id": "B0OTHER123", "app_id": "A0OTHER123"}},
        {"subtype": "bot_message"},
        {"user": "USLACKBOT"},
    ],
)
def test_mention_by_another_app_does_nothing_unless_it_is_trusted(harness: ListenersHarness, app: Any) -> None:
    text = "<@U0SEATRIAL1> model train iris"
    harness.mention(text, **({"user": harness.ada.id} | app))
    harness.mention("<@U0SEATRIAL1> jobs", user=harness.ada.id)
    wait_until(harness.ada.ephemerals)
    assert len(harness.ada.ephemerals()) == 1
    assert list(harness.queue.recent()) == []
    trusted = guarded().model_copy(update={"slack": ChatSettings(trusted_bots=("B0OTHER123", "A0OTHER123"))})
    harness.start_bot(trusted)
    if "subtype" not in app and "user" not in app:
        harness.mention(text, **({"user": harness.ada.id} | app))
        wait_until(harness.queue.recent)


def test_command_of_a_bot_user_does_nothing(harness: ListenersHarness) -> None:
    harness.command("/model train iris", trigger="bot", by="USLACKBOT")
    harness.command("/jobs", trigger="person")
    wait_until(lambda: harness.replies)
    assert len(harness.replies) == 1
    assert list(harness.queue.recent()) == []


@pytest.mark.parametrize(
    ("changes", "foreign"),
    [
        ({}, False),
        ({"team_id": "T0HOME", "enterprise_user": {"teams": ["T0HOME", TEAM_ID]}}, False),
        ({"team_id": "T0HOME", "enterprise_user": {"teams": ["T0HOME"]}}, True),
        ({"team_id": "T0HOME"}, True),
        ({"team_id": None}, True),
        ({"team_id": None, "enterprise_user": {"teams": [TEAM_ID]}}, False),
        ({"team_id": None, "enterprise_user": {}}, True),
        ({"is_stranger": True, "enterprise_user": {"teams": [TEAM_ID]}}, True),
    ],
)
def test_member_of_the_workspace_is_found_by_all_teams_of_a_user(
    harness: ListenersHarness, monkeypatch: pytest.MonkeyPatch, changes: Any, foreign: bool
) -> None:
    """On Enterprise Grid a colleague's team may be another one; a user without a team has no rights."""
    plain = WorkspaceMember.as_slack
    monkeypatch.setattr(WorkspaceMember, "as_slack", lambda self: plain(self) | changes)
    slack = harness.slack
    chat = Chat(token=slack.settings.bot_token, api_url=slack.api_url)
    assert chat.member(harness.ada.id, team=TEAM_ID).foreign is foreign


def schedules(harness: ListenersHarness) -> int:
    return int(harness.client.hlen("seatrial:bot:schedules"))
