"""Firing, missing, pausing, resuming and removing schedules with any number of bots."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest
from redis import Redis

from bot.chat import ChatError
from bot.schedules.clock import next_times
from bot.schedules.job_store import GRACE_S
from bot.schedules.repository import Schedules
from bot.schedules.timekeeper import Timekeeper
from bot.state import Result, Schedule
from bot.store import Store
from workers.contract.queue import connect

HOUR_S = 3600.0
HOURLY = Schedule(
    id="s1",
    cron="0 * * * *",
    time_zone="Europe/Berlin",
    command="/loadtest 1000rps for 5m iris on staging",
    channel="C1",
    by="U1",
    by_name="Ada",
    next_due_s=None,
)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """Yield a client of an empty Redis."""
    client = connect(redis_url)
    yield client
    client.close()


class SchedulingBot:
    """The parts of a bot that schedules need. It records its firings and its reports."""

    def __init__(self, redis: Redis, store: Store | None = None) -> None:
        self.store = store or Store(redis)
        self.schedules = Schedules(redis, store=self.store)
        self.round = Timekeeper(redis, store=self.store, fire=self.fire, missed=self.report).round
        self.fired: list[float] = []
        self.missed: list[list[float]] = []

    def fire(self, schedule: Schedule, due_s: float) -> None:
        """See Timekeeper."""
        self.fired.append(due_s)

    def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
        """See Timekeeper."""
        self.missed.append(list(due_s))


def hourly(redis: Redis, *, hours: int = 1, due_s: float | None = None) -> tuple[Schedule, float]:
    """Store a schedule with `hours` hourly firings that are due, the newest now or at `due_s`. Return both."""
    due_s = time.time() // 60 * 60 if due_s is None else due_s
    cron = f"{time.gmtime(due_s).tm_min} * * * *"
    schedule = replace(HOURLY, cron=cron, next_due_s=due_s - (hours - 1) * HOUR_S)
    Schedules(redis, store=Store(redis)).save(schedule)
    return schedule, due_s


def test_due_schedule_fires_once(redis: Redis) -> None:
    _, due_s = hourly(redis)
    bot = SchedulingBot(redis)
    bot.round()
    bot.round()
    assert bot.fired == [due_s]
    assert bot.missed == []


def test_due_schedule_fires_once_with_many_bots(redis: Redis) -> None:
    _, due_s = hourly(redis)
    bots = [SchedulingBot(redis) for _ in range(8)]
    barrier = threading.Barrier(len(bots))

    def race(bot: SchedulingBot) -> None:
        barrier.wait()
        bot.round()

    threads = [threading.Thread(target=race, args=(bot,)) for bot in bots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bots[0].round()
    assert [at_s for bot in bots for at_s in bot.fired] == [due_s]


def test_failed_firing_is_repeated_by_another_bot(redis: Redis) -> None:
    _, due_s = hourly(redis)

    class WithoutSlack(SchedulingBot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            raise ChatError("Slack is away")

    WithoutSlack(redis).round()
    bot = SchedulingBot(redis)
    bot.round()
    assert bot.fired == [due_s]


@pytest.mark.parametrize("held_up", ["report", "fire"])
def test_late_bot_does_not_repeat_the_firing_of_another_bot(redis: Redis, held_up: str) -> None:
    """Its lock has expired, and another bot has fired meanwhile."""
    schedule, due_s = hourly(redis, hours=2)
    late = SchedulingBot(redis)

    class Overtaken(SchedulingBot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            if held_up == "report":
                self.overtaken()

        def fire(self, schedule: Schedule, due_s: float) -> None:
            super().fire(schedule, due_s)
            if held_up == "fire":
                self.overtaken()
            raise ChatError("Slack is away")

        def overtaken(self) -> None:
            redis.delete("seatrial:bot:lock:schedule:s1")  # expired
            late.round()

    overtaken, bot = Overtaken(redis), SchedulingBot(redis)
    overtaken.round()
    bot.round()
    assert overtaken.fired == ([due_s] if held_up == "fire" else [])
    assert (late.fired, bot.fired) == ([due_s], [])
    assert late.schedules.get(schedule.id) == replace(schedule, next_due_s=due_s + HOUR_S)


def test_bot_skips_a_due_schedule_that_fired_since_it_was_read(redis: Redis) -> None:
    hourly(redis, hours=2)
    first = SchedulingBot(redis)

    class SlowLock(Store):
        @contextmanager
        def locked(self, name: str, *, for_s: float = 30.0) -> Iterator[bool]:
            first.round()
            with super().locked(name, for_s=for_s) as acquired:
                yield acquired

    second = SchedulingBot(redis, SlowLock(redis))
    second.round()
    assert (len(first.fired), len(first.missed)) == (1, 1)
    assert (second.fired, second.missed) == ([], [])


def test_firing_missed_for_longer_than_the_grace_time_is_reported_once(redis: Redis) -> None:
    _, due_s = hourly(redis, due_s=(time.time() - GRACE_S) // 60 * 60 - 60)
    bot = SchedulingBot(redis)
    bot.round()
    bot.round()
    assert (bot.fired, bot.missed) == ([], [[due_s]])


def test_newest_of_many_missed_firings_fires_and_the_others_are_in_one_report(redis: Redis) -> None:
    _, due_s = hourly(redis, hours=48)
    bot = SchedulingBot(redis)
    bot.round()
    bot.round()
    assert bot.fired == [due_s]
    assert bot.missed == [[due_s - hour * HOUR_S for hour in range(47, 0, -1)]]


def test_failed_report_is_repeated_before_the_firing(redis: Redis) -> None:
    _, due_s = hourly(redis, hours=3)

    class WithoutReport(SchedulingBot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            raise ChatError("Slack is away")

    first, bot = WithoutReport(redis), SchedulingBot(redis)
    first.round()
    bot.round()
    assert (first.fired, bot.fired) == ([], [due_s])
    assert bot.missed == [[due_s - 2 * HOUR_S, due_s - HOUR_S]]


def test_next_times_start_at_the_stored_firing_after_a_clock_was_set_back(redis: Redis) -> None:
    """A bot with a clock ahead has fired early. Resuming starts from the present time."""
    schedule, due_s = hourly(redis, due_s=time.time() // 60 * 60 + 3 * HOUR_S)
    stored = SchedulingBot(redis).schedules.get(schedule.id)
    assert stored is not None
    assert next_times(stored, after_s=time.time()) == [due_s, due_s + HOUR_S, due_s + 2 * HOUR_S]
    resumed = SchedulingBot(redis).schedules.resume(stored)
    assert next_times(resumed, after_s=time.time(), count=1) == [due_s - 2 * HOUR_S]


@pytest.mark.parametrize("resumed", [False, True])
def test_paused_schedule_does_not_fire_and_resuming_skips_due_firings(redis: Redis, resumed: bool) -> None:
    schedule, due_s = hourly(redis)
    bot = SchedulingBot(redis)
    bot.schedules.pause(schedule)
    if resumed:
        bot.schedules.resume(schedule)
    bot.round()
    assert bot.fired == []
    assert bot.schedules.get("s1") == replace(schedule, next_due_s=due_s + HOUR_S if resumed else None)


def test_resuming_an_active_schedule_skips_due_firings(redis: Redis) -> None:
    schedule, due_s = hourly(redis)
    bot = SchedulingBot(redis)
    bot.schedules.resume(schedule)
    bot.round()
    assert bot.fired == []
    assert bot.schedules.get("s1") == replace(schedule, next_due_s=due_s + HOUR_S)


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_schedule_paused_or_removed_while_it_fires_stays_so(redis: Redis, change: str) -> None:
    hourly(redis)

    class Changing(SchedulingBot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            if change == "pause":
                self.schedules.pause(schedule)
            else:
                self.schedules.remove(schedule)

    bot = Changing(redis)
    bot.round()
    found = bot.schedules.get("s1")
    assert found is None if change == "remove" else found is not None and found.next_due_s is None
    assert bot.schedules.all() == ([found] if found else [])
    other = SchedulingBot(redis)
    other.round()
    assert other.fired == []


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_schedule_paused_or_removed_during_the_report_does_not_fire(redis: Redis, change: str) -> None:
    hourly(redis, hours=2)

    class ChangingOnReport(SchedulingBot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            super().report(schedule, due_s)
            (self.schedules.pause if change == "pause" else self.schedules.remove)(schedule)

    bot = ChangingOnReport(redis)
    bot.round()
    bot.round()
    assert (len(bot.missed), bot.fired) == (1, [])


def test_error_in_one_firing_does_not_stop_the_others(redis: Redis) -> None:
    """The schedule stays due."""
    schedule, due_s = hourly(redis)

    class Faulty(SchedulingBot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            if schedule.id == "s1":
                raise ZeroDivisionError
            super().fire(schedule, due_s)

    bot = Faulty(redis)
    bot.schedules.save(replace(schedule, id="s2"))
    bot.round()
    assert bot.fired == [due_s]
    other = SchedulingBot(redis)
    other.round()
    assert other.fired == [due_s]


def test_schedule_and_result_survive_a_restart_until_removed(redis: Redis) -> None:
    bot = SchedulingBot(redis)
    added = bot.schedules.add(
        cron="0 2 * * 1-5", time_zone="UTC", command="/model train iris", channel="C1", by="U1", by_name="Ada", key="k"
    )
    assert SchedulingBot(redis).schedules.all() == [added]
    result = Result(job_id="7", status="FAIL", at_s=12.5)
    bot.store.save_result(added.id, result)
    assert SchedulingBot(redis).schedules.get(added.id) == replace(added, result=result)
    bot.schedules.remove(added)
    bot.store.save_result(added.id, result)
    assert SchedulingBot(redis).schedules.all() == []
    assert bot.store.result(added.id) is None
    for change in (bot.schedules.pause, bot.schedules.resume, bot.schedules.remove):
        change(added)


def test_repeated_request_adds_one_schedule(redis: Redis) -> None:
    """Slack may deliver a mention twice."""
    asked = {"cron": "0 2 * * *", "time_zone": "UTC", "command": "/model train iris"}
    asked |= {"channel": "C1", "by": "U1", "by_name": "Ada"}
    first = SchedulingBot(redis).schedules.add(**asked, key="mention:1")
    assert SchedulingBot(redis).schedules.add(**asked, key="mention:1") == first
    assert SchedulingBot(redis).schedules.add(**asked, key="mention:2") != first
    assert [schedule.id for schedule in SchedulingBot(redis).schedules.all()] == ["s1", "s3"]


def test_redis_has_json_without_a_function_name(redis: Redis) -> None:
    """Write access to Redis must not mean code execution in the bot."""
    schedule, due_s = hourly(redis)
    stored = json.loads(redis.hget("seatrial:bot:schedules", "s1") or "")
    assert stored == {name: value for name, value in asdict(schedule).items() if name != "result"}
    assert redis.zrange("seatrial:bot:run_times", 0, -1, withscores=True) == [(b"s1", due_s)]


def stored_by_another_bot(**changes: object) -> bytes:
    """Return the stored form of a schedule with these changes."""
    fields = {name: value for name, value in asdict(HOURLY).items() if name != "result"}
    return json.dumps(fields | {"id": "s9", "next_due_s": time.time()} | changes).encode()


@pytest.mark.parametrize(
    "unreadable",
    [
        b"\x80\x04K\x01.",
        b'{"id": "s9"}',
        b'{"of": "a newer release"}',
        stored_by_another_bot(next_due_s="today"),
        stored_by_another_bot(time_zone="Mars/Base"),
        stored_by_another_bot(cron="0 2 * * * 2030"),
        stored_by_another_bot(cron="@reboot"),
        stored_by_another_bot(cron=None),
    ],
)
def test_unreadable_schedule_stays_stored_and_does_not_stop_the_others(
    redis: Redis, unreadable: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer release may have written it, or this machine may lack its time zone. It is logged once."""
    schedule, due_s = hourly(redis)
    redis.hset("seatrial:bot:schedules", "s9", unreadable)
    redis.zadd("seatrial:bot:run_times", {"s9": due_s - 1})
    bot = SchedulingBot(redis)
    bot.round()
    bot.round()
    assert bot.fired == [due_s]
    assert caplog.text.count("schedule s9 cannot be read") == 1
    assert [next_times(one, after_s=due_s, count=1) for one in bot.schedules.all()] == [[due_s + HOUR_S]]
    assert bot.schedules.get("s9") is None
    bot.schedules.pause(replace(schedule, id="s9"))
    assert redis.hget("seatrial:bot:schedules", "s9") == unreadable


@pytest.mark.parametrize("ahead_s", [-300.0, 300.0])
def test_firings_follow_the_clock_of_redis(redis: Redis, monkeypatch: pytest.MonkeyPatch, ahead_s: float) -> None:
    schedule, due_s = hourly(redis)
    bot = SchedulingBot(redis)
    bot.schedules.save(replace(schedule, id="s2", next_due_s=due_s + 240.0))
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", clock_ahead(ahead_s))
    bot.round()
    assert bot.fired == [due_s]
    assert bot.schedules.resume(schedule).next_due_s == due_s + HOUR_S


def clock_ahead(seconds: float) -> type[datetime]:
    class WrongClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(seconds=seconds)

    return WrongClock
