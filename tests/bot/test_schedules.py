"""Schedules: each firing once over many bots, missed ones, pause, resume and removal."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from bot.remembered import Result, Schedule
from bot.schedules import GRACE_S, Schedules
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
    last_due_s=0.0,
)


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """The bot's memory, empty."""
    client = connect(redis_url)
    yield Store(client)
    client.close()


class Bot(Schedules):
    """A bot's schedules, which write down what they fire and what they report as missed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store=store)
        self.fired: list[float] = []
        self.missed: list[list[float]] = []

    def look(self) -> None:
        """One round."""
        for schedule in self.active():
            self.see_to(schedule, fire=self.fire, missed=self.report)

    def fire(self, schedule: Schedule, due_s: float) -> None:
        """As the bot does."""
        self.fired.append(due_s)

    def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
        """As the bot does."""
        self.missed.append(list(due_s))


def hourly(store: Store, *, hours: int = 1, due_s: float | None = None) -> tuple[Schedule, float]:
    """A schedule that is due now, or at `due_s`, and each hour before it, seen to until `hours` earlier; and when."""
    due_s = time.time() // 60 * 60 if due_s is None else due_s
    cron = f"{time.gmtime(due_s).tm_min} * * * *"
    schedule = replace(HOURLY, cron=cron, last_due_s=due_s - hours * HOUR_S)
    store.keep_schedule(schedule)
    return schedule, due_s


def test_a_firing_that_is_due_is_fired_once(store: Store) -> None:
    """A second look finds nothing."""
    _, due_s = hourly(store)
    bot = Bot(store)
    bot.look()
    bot.look()
    assert bot.fired == [due_s]
    assert bot.missed == []


def test_many_bots_fire_once(store: Store) -> None:
    """However many look at the same instant."""
    _, due_s = hourly(store)
    bots = [Bot(store) for _ in range(8)]
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


def test_a_firing_that_could_not_be_asked_for_is_asked_for_again(store: Store) -> None:
    """Slack was away, or the bot died: what was due stays due, for every bot."""
    _, due_s = hourly(store)

    class Unlucky(Bot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        Unlucky(store).look()
    bot = Bot(store)
    bot.look()
    assert bot.fired == [due_s]


def test_a_bot_that_was_held_up_takes_nothing_back(store: Store) -> None:
    """It notes an old firing after another bot has seen to a newer one: the newer one stays seen to."""
    schedule, due_s = hourly(store)
    store.note_due(schedule.id, due_s)
    store.note_due(schedule.id, due_s - HOUR_S)
    bot = Bot(store)
    bot.look()
    assert bot.fired == []


def test_a_firing_missed_for_longer_than_its_grace_is_reported(store: Store) -> None:
    """What was due six minutes ago is not run now; it is told, once."""
    _, due_s = hourly(store, due_s=(time.time() - GRACE_S) // 60 * 60 - 60)
    bot = Bot(store)
    bot.look()
    bot.look()
    assert (bot.fired, bot.missed) == ([], [[due_s]])


def test_after_a_long_silence_the_newest_firing_is_made_up_for_and_the_others_are_told(store: Store) -> None:
    """Each firing is either run or in the one report: none is lost, and nobody is flooded."""
    _, due_s = hourly(store, hours=48)
    bot = Bot(store)
    bot.look()
    bot.look()
    assert bot.fired == [due_s]
    assert bot.missed == [[due_s - hour * HOUR_S for hour in range(47, 0, -1)]]


def test_a_report_that_could_not_be_given_is_given_later_and_the_firing_waits_for_it(store: Store) -> None:
    """Nothing is noted as told that was not."""
    _, due_s = hourly(store, hours=3)

    class Unheard(Bot):
        def report(self, schedule: Schedule, due_s: Sequence[float]) -> None:
            raise ConnectionError

    unheard, bot = Unheard(store), Bot(store)
    with pytest.raises(ConnectionError):
        unheard.look()
    bot.look()
    assert (unheard.fired, bot.fired) == ([], [due_s])
    assert bot.missed == [[due_s - 2 * HOUR_S, due_s - HOUR_S]]


@pytest.mark.parametrize("silence", [lambda bot, one: bot.pause(one), lambda bot, one: bot.resume(one)])
def test_a_paused_schedule_does_not_fire_and_resuming_makes_up_for_nothing(
    store: Store, silence: Callable[[Schedules, Schedule], None]
) -> None:
    """While it is paused, and for what was due before it was resumed."""
    schedule, _ = hourly(store)
    bot = Bot(store)
    silence(bot, schedule)
    bot.look()
    assert bot.fired == []


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_what_is_changed_while_it_fires_stays_changed(store: Store, change: str) -> None:
    """A bot that notes what it fired brings back no schedule, and wakes none."""
    schedule, _ = hourly(store)

    class Slow(Bot):
        def fire(self, schedule: Schedule, due_s: float) -> None:
            if change == "pause":
                self.pause(schedule)
            else:
                store.forget_schedule(schedule.id)

    Slow(store).look()
    found = store.schedule(schedule.id)
    assert found is None if change == "remove" else found is not None and found.paused
    store.note_result("s9", Result(job_id="1", word="PASS", at_s=0.0))
    assert store.schedule("s9") is None


def test_a_schedule_survives_a_restart(store: Store) -> None:
    """What is kept is what was added, and how its newest job ended; forgotten, it leaves nothing."""
    kept = Schedules(store=store).add(
        cron="0 2 * * 1-5", time_zone="UTC", command="/model train iris", channel="C1", by="U1", by_name="Ada", key="k"
    )
    assert store.schedules() == [kept]
    result = Result(job_id="7", word="FAIL", at_s=12.5)
    store.note_result(kept.id, result)
    assert store.schedule(kept.id) == replace(kept, result=result)
    assert store.forget_schedule(kept.id)
    assert store.schedules() == []
    assert not store.forget_schedule(kept.id)


def test_one_request_adds_one_schedule(store: Store) -> None:
    """Slack may deliver a mention twice."""
    asked = {"cron": "0 2 * * *", "time_zone": "UTC", "command": "/model train iris"}
    asked |= {"channel": "C1", "by": "U1", "by_name": "Ada"}
    first = Schedules(store=store).add(**asked, key="mention:1")
    assert Schedules(store=store).add(**asked, key="mention:1") == first
    assert Schedules(store=store).add(**asked, key="mention:2") != first
    assert len(store.schedules()) == 2
