"""Records of an older and a newer release, and damaged ones, among good ones: they harm nothing else.

`tests/records/older.jsonl` was written by the release before; `newer.jsonl` has what a later one may write.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from redis import Redis

from bot import relay as relay_module
from bot.cards.card import render
from bot.local_slack.server import SlackSettings
from bot.local_slack.server_thread import LocalSlack
from bot.lookup import published
from bot.views import replies
from tests.bot.test_commands import COMMAND_EXAMPLES
from tests.bot.test_listeners import ListenersHarness
from tests.waiting import wait_until
from workers.contract.jobs import Deploy
from workers.contract.queue import Catalogue, Claims, Queue, connect
from workers.contract.queue.connection import _as_record
from workers.contract.record import FINAL

RECORDS = Path(__file__).parents[1] / "records"
OLDER = [json.loads(line) for line in (RECORDS / "older.jsonl").read_text().splitlines()]
NEWER = [json.loads(line) for line in (RECORDS / "newer.jsonl").read_text().splitlines()]
UNREADABLE = [row for row in NEWER if not row["readable"]]


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def store(client: "Redis", job_id: str, row: Any) -> None:
    """Store a record as the queue of some release does."""
    key = f"seatrial:job:{job_id}"
    facts = {"job": encoded(row["job"]), "asked": encoded(row["asked"]), "seq": len(row["events"]), "attempt": 1}
    client.hset(key, mapping={**facts, "state": row["state"], "resource": f"r{job_id}", "request": job_id})
    client.rpush(f"{key}:events", *map(encoded, row["events"]))
    client.rpush(f"seatrial:resource:r{job_id}", job_id)
    index(client, job_id, opened=row["state"] not in FINAL)


def index(client: "Redis", job_id: str, *, opened: bool) -> None:
    """Add the job to all lists of jobs, as one that is due everywhere."""
    client.zadd("seatrial:jobs", {job_id: time.time()})
    for name in ("changed", "outbox", "expiring") if opened else ("changed",):
        client.zadd(f"seatrial:{name}", {job_id: 1.0 if name == "changed" else time.time() + 3600})
    if opened:
        client.sadd("seatrial:open", job_id)


def store_damaged(client: "Redis") -> None:
    """Store jobs with damaged values and with keys of the wrong type, due in all lists."""
    good = OLDER[1]
    for number, (name, value) in enumerate(
        [("job", b"{"), ("job", b"\xff"), ("asked", b"[]"), ("seq", b"many"), ("state", b"\xff\xfe"), ("job", b"")], 901
    ):
        store(client, str(number), good)
        client.hset(f"seatrial:job:{number}", name, value)
    client.set("seatrial:job:907", "no hash")
    index(client, "907", opened=True)
    store(client, "908", good)
    client.delete("seatrial:job:908:events")
    client.set("seatrial:job:908:events", "no list")
    index(client, "b\xc3", opened=True)
    for name in ("expiring", "outbox"):
        client.zadd(f"seatrial:{name}", {"907": 1.0, "908": 1.0})
    client.hset("seatrial:versions:iris", "9", b"{")
    client.hset("seatrial:served", "staging/other", b'{"model": 1}')
    client.hset("seatrial:bot:results", "s1", b"{")
    client.hset("seatrial:bot:schedules", "s9", b"{")


@pytest.fixture
def harness(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListenersHarness]:
    """A bot among records of all kinds."""
    monkeypatch.setattr(relay_module, "UNREADABLE_S", 0.0)
    with LocalSlack(SlackSettings(rate_limits=False)) as slack:
        harness = ListenersHarness(slack=slack, url=redis_url)
        for number, row in enumerate([*OLDER, *NEWER], 101):
            store(harness.client, str(number), row)
        harness.start_bot()
        Catalogue(harness.client).publish_versions("iris", [published("iris", number) for number in (1, 2)])
        store_damaged(harness.client)
        yield harness
        harness.client.close()


def test_every_command_is_answered(harness: ListenersHarness) -> None:
    """Each gets a reply, a message or a job, and none meets a fault."""
    harness.client.set("seatrial:last_job", 1000)
    for number, (command, _) in enumerate(COMMAND_EXAMPLES):
        before = len(harness.queue.recent(100)), len(harness.ada.messages())
        harness.replies.clear()
        harness.command(command, trigger=f"t{number}")
        wait_until(
            lambda before=before: (
                harness.replies or (len(harness.queue.recent(100)), len(harness.ada.messages())) != before
            )
        )
        assert replies.FAILED.text not in harness.replies, command
        assert replies.REDIS_AWAY.text not in harness.replies, command


def test_lists_show_the_good_records_and_name_the_others(harness: ListenersHarness) -> None:
    harness.command("/jobs show 102", trigger="a")
    assert "Deploy iris v1 to staging" in wait_until(lambda: harness.replies)[0]
    harness.replies.clear()
    harness.command("/seatrial status", trigger="b")
    answer = wait_until(lambda: harness.replies)[0]
    assert "Written by another release" in answer and "#908" in answer
    assert set(harness.queue.unreadable()) >= {str(107 + NEWER.index(row)) for row in UNREADABLE} | {
        "901",
        "907",
        "908",
    }
    assert not {str(number) for number in range(101, 107)} & set(harness.queue.unreadable())


@pytest.mark.parametrize("action", ["approve", "deny", "cancel", "retry", "deploy", "roll_back", "train"])
@pytest.mark.parametrize("job_id", ["107", "109", "901", "907"])
def test_click_on_an_unreadable_job_is_answered_and_changes_nothing(
    harness: ListenersHarness, action: str, job_id: str
) -> None:
    before = harness.queue.record(job_id)
    harness.click(action, job_id)
    assert "Nothing was changed" in wait_until(lambda: harness.replies)[0]
    assert harness.queue.record(job_id) == before
    assert len(harness.queue.recent(100)) == len(harness.client.zrange("seatrial:jobs", 0, -1)) - 1


def test_relay_shows_the_good_and_the_unreadable_jobs(harness: ListenersHarness) -> None:
    """The relay forgets each change once it is shown, so that it does not read these records for ever."""
    good = harness.ask()
    harness.relay()
    wait_until(lambda: harness.tick() or not harness.queue.dirty())
    shown = "\n".join(message.plain for message in harness.ada.messages())
    assert f"#{good}" in shown
    assert "written by another release" in shown and "Load test iris" in shown


def test_worker_starts_works_and_leaves_what_it_cannot_read(harness: ListenersHarness) -> None:
    """A worker's start recovers all jobs. Jobs of a newer release wait for that release's workers."""
    harness.worker.recover()
    harness.worker.heartbeat()
    harness.queue.expire_due()
    assert harness.queue.deliver_due() >= 2
    assert harness.worker.claim("107") is None
    record = harness.queue.record("107")
    assert record is not None and record.state == "queued"
    job_id = harness.ask()
    claim = harness.worker.claim(job_id)
    assert claim is not None and claim.record.id == job_id


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def stored(draw: st.DrawFn) -> tuple[Any, Any]:
    """The facts and events of a record with changed fields, kinds and orders, or with any bytes."""
    row = json.loads(json.dumps(draw(st.sampled_from([*OLDER, *NEWER]))))
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from([row["job"], row["asked"], *row["events"]]))
        name = draw(st.sampled_from([*part, "kind", "more"]))
        if draw(st.booleans()):
            part[name] = draw(VALUES)
        else:
            part.pop(name, None)
    events = draw(st.permutations(row["events"]) if draw(st.booleans()) else st.just(row["events"]))
    facts = [encoded(row["job"]), encoded(row["asked"]), b"1", row["state"].encode()]
    if draw(st.booleans()):
        facts[draw(st.integers(0, 3))] = draw(st.none() | st.binary(max_size=20))
    return facts, [*map(encoded, events), *draw(st.lists(st.binary(max_size=20), max_size=1))]


@given(values=stored())
def test_any_stored_values_are_a_record_with_a_card(values: tuple[Any, Any]) -> None:
    facts, events = values
    record = _as_record("1", facts, events, [])
    assert record is not None or facts == [None] * 4
    if record is not None:
        assert render(record).text
        assert replies.jobs([record], "").text


def test_job_is_left_for_other_workers_for_a_quarter_of_an_hour(redis_url: str) -> None:
    client = connect(redis_url)
    queue, worker = Queue(client), Claims(client, worker="w1", lease_s=60.0)
    store(client, "1", NEWER[0])
    client.hset("seatrial:job:1", "attempt", 0)
    worker.heartbeat()
    assert worker.claim("1") is None
    assert json.loads(client.lrange("seatrial:job:1:events", -1, -1)[0])["kind"] == "requeued"
    assert queue.are_final(["1"]) == {"1": False}
    client.hincrbyfloat("seatrial:job:1", "left_at", -901)
    assert worker.claim("1") is None
    assert queue.are_final(["1"]) == {"1": True}
    assert client.exists("seatrial:resource:r1") == 0
    client.close()


def test_deploy_with_an_unknown_field_is_not_run_as_a_plain_deploy() -> None:
    row = NEWER[1]
    record = _as_record("1", [encoded(row["job"]), encoded(row["asked"]), b"1", b"queued"], [], [])
    assert record is not None and "canary_percent" in record.unreadable
    assert not isinstance(record.job, Deploy)
