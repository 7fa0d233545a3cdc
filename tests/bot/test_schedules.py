"""Schedules: each firing once over many bots, missed ones, pause, resume and removal."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

import pytest
from redis import Redis

from bot.chat import ChatError
from bot.schedules import Schedules, Timekeeper, next_times
from bot.schedules.job_store import GRACE_S
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
    """Redis, empty."""
    client = connect(redis_url)
    yield client
    client.close()


class Bot:
    """What a bot has of schedules; it writes down what it fires and what it reports as missed."""

    def __init__(self, redis: Redis, store: Store | None = None) -> None:
        self.store = store or Store(redis)
        self.schedules = Schedules(redis, store=self.store)
        self.look = Timekeeper(redis, store=self.store, fire=self.fire, missed=self.report).round
        self.fired: list[float] = []
        self.missed: list[list[float]] = []

    def fire(self, schedule: Schedule, due_s: float) -> None:
        """As the bot does."""
        self.fired.append(due_s)

    def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
        """As the bot does."""
        self.missed.append(list(due_s))


def hourly(redis: Redis, *, hours: int = 1, due_s: float | None = None) -> tuple[Schedule, float]:
    """A schedule that is due now, or at `due_s`, and each hour before it, `hours` of them not seen to; and when."""
    due_s = time.time() // 60 * 60 if due_s is None else due_s
    cron = f"{time.gmtime(due_s).tm_min} * * * *"
    schedule = replace(HOURLY, cron=cron, next_due_s=due_s - (hours - 1) * HOUR_S)
    Schedules(redis, store=Store(redis)).save(schedule)
    return schedule, due_s


def test_a_firing_that_is_due_is_fired_once(redis: Redis) -> None:
    """A second look finds nothing."""
    _, due_s = hourly(redis)
    bot = Bot(redis)
    bot.look()
    bot.look()
    assert bot.fired == [due_s]
    assert bot.missed == []


def test_many_bots_fire_once(redis: Redis) -> None:
    """However many look at the same instant."""
    _, due_s = hourly(redis)
    bots = [Bot(redis) for _ in range(8)]
    barrier = threading.Barrier(len(bots))

    def look(bot: Bot) -> None:
        barrier.wait()
        bot.look()

    threads = [threading.Thread(target=look, args=(bot,)) for bot in bots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bots[0].look()
    assert [at_s for bot in bots for at_s in bot.fired] == [due_s]


def test_a_firing_that_could_not_be_asked_for_is_asked_for_again(redis: Redis) -> None:
    """Slack was away, or the bot died: what was due stays due, for every bot."""
    _, due_s = hourly(redis)

    class Unlucky(Bot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            raise ChatError("Slack is away")

    Unlucky(redis).look()
    bot = Bot(redis)
    bot.look()
    assert bot.fired == [due_s]


@pytest.mark.parametrize("held_up", ["report", "fire"])
def test_a_bot_that_was_held_up_takes_nothing_back(redis: Redis, held_up: str) -> None:
    """It moves on from an old firing after another bot has seen to a newer one: the newer one stays seen to."""
    schedule, due_s = hourly(redis, hours=2)
    late = Bot(redis)

    class Overtaken(Bot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            if held_up == "report":
                self.overtaken()

        def fire(self, schedule: Schedule, due_s: float) -> None:
            super().fire(schedule, due_s)
            if held_up == "fire":
                self.overtaken()
            raise ChatError("Slack is away")

        def overtaken(self) -> None:
            redis.delete("seatrial:bot:lock:schedule:s1")  # it took longer than the lock lasts
            late.look()

    overtaken, bot = Overtaken(redis), Bot(redis)
    overtaken.look()
    bot.look()
    assert overtaken.fired == ([due_s] if held_up == "fire" else [])
    assert (late.fired, bot.fired) == ([due_s], [])
    assert late.schedules.get(schedule.id) == replace(schedule, next_due_s=due_s + HOUR_S)


def test_a_bot_that_comes_second_does_nothing_again(redis: Redis) -> None:
    """It has read what is due, and before it gets to it another bot has seen to it."""
    hourly(redis, hours=2)
    first = Bot(redis)

    class Late(Store):
        @contextmanager
        def locked(self, name: str, *, for_s: float = 30.0) -> Iterator[bool]:
            first.look()
            with super().locked(name, for_s=for_s) as ours:
                yield ours

    second = Bot(redis, Late(redis))
    second.look()
    assert (len(first.fired), len(first.missed)) == (1, 1)
    assert (second.fired, second.missed) == ([], [])


def test_a_firing_missed_for_longer_than_its_grace_is_reported(redis: Redis) -> None:
    """What was due six minutes ago is not run now; it is told, once."""
    _, due_s = hourly(redis, due_s=(time.time() - GRACE_S) // 60 * 60 - 60)
    bot = Bot(redis)
    bot.look()
    bot.look()
    assert (bot.fired, bot.missed) == ([], [[due_s]])


def test_after_a_long_silence_the_newest_firing_is_made_up_for_and_the_others_are_told(redis: Redis) -> None:
    """Each firing is either run or in the one report: none is lost, and nobody is flooded."""
    _, due_s = hourly(redis, hours=48)
    bot = Bot(redis)
    bot.look()
    bot.look()
    assert bot.fired == [due_s]
    assert bot.missed == [[due_s - hour * HOUR_S for hour in range(47, 0, -1)]]


def test_a_report_that_could_not_be_given_is_given_later_and_the_firing_waits_for_it(redis: Redis) -> None:
    """Nothing is noted as told that was not."""
    _, due_s = hourly(redis, hours=3)

    class Unheard(Bot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            raise ChatError("Slack is away")

    unheard, bot = Unheard(redis), Bot(redis)
    unheard.look()
    bot.look()
    assert (unheard.fired, bot.fired) == ([], [due_s])
    assert bot.missed == [[due_s - 2 * HOUR_S, due_s - HOUR_S]]


def test_after_a_clock_was_set_back_the_times_that_are_told_are_those_that_will_fire(redis: Redis) -> None:
    """A bot whose clock was two hours ahead has seen to what is not due yet; resuming goes by the clock as it is."""
    schedule, due_s = hourly(redis, due_s=time.time() // 60 * 60 + 3 * HOUR_S)
    kept = Bot(redis).schedules.get(schedule.id)
    assert kept is not None
    assert next_times(kept, after_s=time.time()) == [due_s, due_s + HOUR_S, due_s + 2 * HOUR_S]
    resumed = Bot(redis).schedules.resume(kept)
    assert next_times(resumed, after_s=time.time(), count=1) == [due_s - 2 * HOUR_S]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_paused_schedule_does_not_fire_and_resuming_makes_up_for_nothing(redis: Redis, resumed: bool) -> None:
    """While it is paused, and for what was due before it was resumed."""
    schedule, due_s = hourly(redis)
    bot = Bot(redis)
    bot.schedules.pause(schedule)
    if resumed:
        bot.schedules.resume(schedule)
    bot.look()
    assert bot.fired == []
    assert bot.schedules.get("s1") == replace(schedule, next_due_s=due_s + HOUR_S if resumed else None)


def test_resuming_what_was_not_paused_lets_go_of_what_was_due(redis: Redis) -> None:
    """From the next time on, as the answer says."""
    schedule, due_s = hourly(redis)
    bot = Bot(redis)
    bot.schedules.resume(schedule)
    bot.look()
    assert bot.fired == []
    assert bot.schedules.get("s1") == replace(schedule, next_due_s=due_s + HOUR_S)


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_what_is_changed_while_it_fires_stays_changed(redis: Redis, change: str) -> None:
    """A bot that moves on what it fired brings back no schedule, and wakes none."""
    hourly(redis)

    class Slow(Bot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            if change == "pause":
                self.schedules.pause(schedule)
            else:
                self.schedules.remove(schedule)

    bot = Slow(redis)
    bot.look()
    found = bot.schedules.get("s1")
    assert found is None if change == "remove" else found is not None and found.next_due_s is None
    assert bot.schedules.all() == ([found] if found else [])
    other = Bot(redis)
    other.look()
    assert other.fired == []


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_what_is_changed_while_its_missed_firings_are_told_does_not_fire(redis: Redis, change: str) -> None:
    """Whoever reads the report and pauses has been told that it fires no more."""
    hourly(redis, hours=2)

    class Heard(Bot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            super().report(schedule, due_s)
            (self.schedules.pause if change == "pause" else self.schedules.remove)(schedule)

    bot = Heard(redis)
    bot.look()
    bot.look()
    assert (len(bot.missed), bot.fired) == (1, [])


def test_a_mistake_of_ours_in_one_firing_keeps_no_other_from_being_fired(redis: Redis) -> None:
    """It stays due, and the others go on."""
    schedule, due_s = hourly(redis)

    class Mistaken(Bot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            if schedule.id == "s1":
                raise ZeroDivisionError
            super().fire(schedule, due_s)

    bot = Mistaken(redis)
    bot.schedules.save(replace(schedule, id="s2"))
    bot.look()
    assert bot.fired == [due_s]
    other = Bot(redis)
    other.look()
    assert other.fired == [due_s]


def test_a_schedule_survives_a_restart(redis: Redis) -> None:
    """What is kept is what was added, and how its newest job ended; removed, it leaves nothing."""
    bot = Bot(redis)
    kept = bot.schedules.add(
        cron="0 2 * * 1-5", time_zone="UTC", command="/model train iris", channel="C1", by="U1", by_name="Ada", key="k"
    )
    assert Bot(redis).schedules.all() == [kept]
    result = Result(job_id="7", status="FAIL", at_s=12.5)
    bot.store.save_result(kept.id, result)
    assert Bot(redis).schedules.get(kept.id) == replace(kept, result=result)
    bot.schedules.remove(kept)
    bot.store.save_result(kept.id, result)
    assert Bot(redis).schedules.all() == []
    assert bot.store.result(kept.id) is None
    for change in (bot.schedules.pause, bot.schedules.resume, bot.schedules.remove):
        change(kept)


def test_one_request_adds_one_schedule(redis: Redis) -> None:
    """Slack may deliver a mention twice."""
    asked = {"cron": "0 2 * * *", "time_zone": "UTC", "command": "/model train iris"}
    asked |= {"channel": "C1", "by": "U1", "by_name": "Ada"}
    first = Bot(redis).schedules.add(**asked, key="mention:1")
    assert Bot(redis).schedules.add(**asked, key="mention:1") == first
    assert Bot(redis).schedules.add(**asked, key="mention:2") != first
    assert [schedule.id for schedule in Bot(redis).schedules.all()] == ["s1", "s3"]


def test_redis_holds_data_and_no_code(redis: Redis) -> None:
    """JSON, in which no function is named: whoever writes to Redis runs nothing in a bot."""
    schedule, due_s = hourly(redis)
    kept = json.loads(redis.hget("seatrial:bot:schedules", "s1") or "")
    assert kept == {name: value for name, value in asdict(schedule).items() if name != "result"}
    assert redis.zrange("seatrial:bot:run_times", 0, -1, withscores=True) == [(b"s1", due_s)]


def written(**changes: object) -> bytes:
    """A schedule with these changes, as another bot wrote it."""
    kept = {name: value for name, value in asdict(HOURLY).items() if name != "result"}
    return json.dumps(kept | {"id": "s9", "next_due_s": time.time()} | changes).encode()


@pytest.mark.parametrize(
    "unreadable",
    [
        b"\x80\x04K\x01.",
        b'{"id": "s9"}',
        b'{"of": "a newer release"}',
        written(next_due_s="today"),
        written(time_zone="Mars/Base"),
        written(cron="0 2 * * * 2030"),
        written(cron="@hourly"),
        written(cron=None),
    ],
)
def test_a_schedule_that_cannot_be_read_is_left_alone_and_keeps_no_other_back(
    redis: Redis, unreadable: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An older release must not remove what a newer one wrote, nor a machine whose zones are older; once it says so."""
    schedule, due_s = hourly(redis)
    redis.hset("seatrial:bot:schedules", "s9", unreadable)
    redis.zadd("seatrial:bot:run_times", {"s9": due_s - 1})
    bot = Bot(redis)
    bot.look()
    bot.look()
    assert bot.fired == [due_s]
    assert caplog.text.count("schedule s9 cannot be read") == 1
    assert [next_times(one, after_s=due_s, count=1) for one in bot.schedules.all()] == [[due_s + HOUR_S]]
    assert bot.schedules.get("s9") is None
    bot.schedules.pause(replace(schedule, id="s9"))
    assert redis.hget("seatrial:bot:schedules", "s9") == unreadable
