"""Schedules with bots as they run: several at once, killed in the second of firing, Slack away, a model gone."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.demo import processes
from bot.schedules import Schedules
from bot.state import Schedule
from bot.store import Store
from tests.stack import WAIT_S, Stack, ask, post_ephemeral
from workers.contract.queue import connect
from workers.contract.record import Record

ML_OPS = "C0MLOPS7X21"
RANDOM = "C0RANDOM4K8"


class Bots:
    """Bots as processes, each with a port of its own, on one Redis and one Slack that hears from all of them."""

    def __init__(self, stack: Stack, url: str, exit_stack: ExitStack) -> None:
        self.stack = stack
        self.url = url
        client = connect(url)
        exit_stack.callback(client.close)
        self.store = Store(client)
        self.schedules = Schedules(client, store=self.store)
        self.ada = stack.person("Ada")
        self._exit_stack = exit_stack
        self._ids = 0

    def start(self, count: int) -> "list[subprocess.Popen[bytes]]":
        """So many bots more; they are up when this returns."""
        started = []
        for _ in range(count):
            self._ids += 1
            name, port = f"bot{self._ids}", processes.free_port()
            environ = dict(self.stack.for_bot, PORT=str(port))
            command = processes.python("-m", "bot")
            bot = self._exit_stack.enter_context(
                processes.process(name, command, folder=self.stack.folder, environ=environ)
            )
            started.append((bot, port, name))
        for bot, port, name in started:
            processes.await_port(bot, port, name=name, folder=self.stack.folder)
        return [bot for bot, _, _ in started]

    def schedule(
        self, number: int, *, command: str = "/model train iris", due_s: float | None = None, channel: str = ML_OPS
    ) -> Schedule:
        """A schedule that Ada added long ago and that is due now, or at `due_s`, and an hour later again."""
        due_s = time.time() // 60 * 60 if due_s is None else due_s
        schedule = Schedule(
            id=f"s{number}",
            cron=f"{time.gmtime(due_s).tm_min} * * * *",
            time_zone="UTC",
            command=command,
            channel=channel,
            by=self.ada.id,
            by_name="Ada",
            next_due_s=due_s,
        )
        self.schedules.remove(schedule)
        return self.schedules.keep(schedule)

    def jobs(self) -> list[Record]:
        """What the schedules have asked for."""
        return [record for record in self.stack.queue.recent(100) if record.asked.scheduled_by]

    def wait(self, look: Callable[[], object]) -> None:
        """Until `look` finds something."""
        self.ada.wait_for(look, WAIT_S)

    def are_seen_to(self) -> bool:
        """Whether nothing is due any more, nor left behind by a bot that died."""
        now = time.time()
        return all((one.next_due_s or 0) > now for one in self.schedules.all()) and not self.stack.queue.reserved()


@pytest.fixture
def bots(redis_url: str, tmp_path: Path, environ: dict[str, str]) -> Iterator[Bots]:
    """No bot yet, and no worker: jobs wait."""
    with ExitStack() as exit_stack:
        stack = Stack(url=redis_url, folder=tmp_path, environ=environ, exit_stack=exit_stack)
        yield Bots(stack, redis_url, exit_stack)


def test_four_bots_fire_each_schedule_once_with_one_card_each(bots: Bots) -> None:
    """Five schedules that are due in the same second, seen by four processes: five jobs, five cards, no other word."""
    bots.start(4)
    for number in range(5):
        bots.schedule(number)
    bots.wait(lambda: bots.are_seen_to() and len(bots.ada.messages()) >= 5)
    jobs = bots.jobs()
    assert sorted(record.asked.scheduled_by or "" for record in jobs) == [f"s{number}" for number in range(5)]
    assert len(bots.ada.messages()) == 5
    assert bots.ada.ephemerals() == ()
    assert "Traceback" not in bots.stack.logs()


def test_bots_that_are_killed_in_the_second_of_firing_lose_nothing_and_double_nothing(
    bots: Bots, redis_url: str
) -> None:
    """Again and again: two or all of four die as soon as one begins to fire or has got its job, and others start.

    One job for each firing. A bot may die after Slack took its card and before it noted so; Slack has no way to ask,
    and then the job gets another card rather than none.
    """
    redis = connect(redis_url)
    running = bots.start(4)
    for number, dying in enumerate((2, 2, 4, 4)):
        schedule = bots.schedule(number)
        begun = f"seatrial:bot:lock:schedule:{schedule.id}"

        def fires(begun: str = begun, jobs: int = len(bots.jobs()), early: bool = number % 2 == 0) -> bool:
            # The first is over in milliseconds, and a busy machine may pass it by.
            return (early and bool(redis.exists(begun))) or len(bots.jobs()) > jobs

        poll(fires)
        for bot in running[:dying]:
            bot.kill()
        for bot in running[:dying]:
            bot.wait()
        running = running[dying:] + bots.start(dying)
    bots.wait(bots.are_seen_to)
    jobs = bots.jobs()
    assert Counter(record.asked.scheduled_by for record in jobs) == {f"s{number}": 1 for number in range(4)}
    assert all(record.state in ("queued", "waiting") for record in jobs)
    assert all(bots.store.card(record.id) for record in jobs)
    redis.close()


def poll(look: Callable[[], bool]) -> None:
    """As often as can be, until `look` finds something."""
    deadline_s = time.monotonic() + WAIT_S
    while not look():
        assert time.monotonic() < deadline_s, "waited in vain"


def test_a_firing_missed_while_no_bot_ran_is_told_once_by_all_that_start(bots: Bots) -> None:
    """What is within its grace is run; what is not is told, once, and neither is done again."""
    late_s = time.time() // 60 * 60 - 900
    bots.schedule(1, due_s=late_s)
    bots.schedule(2)
    bots.start(2)
    bots.wait(lambda: bots.are_seen_to() and len(bots.ada.messages()) >= 2)
    told = [one.plain for one in bots.ada.messages() if "was missed" in one.plain]
    assert len(told) == 1
    assert f"Schedule s1 (`/model train iris`) was due <!date^{late_s:.0f}^" in told[0]
    assert [record.asked.scheduled_by for record in bots.jobs()] == ["s2"]


def test_slack_away_at_the_time_of_firing_delays_the_job_and_no_more(bots: Bots) -> None:
    """Neither the question who asks nor the card gets through at first; then there is one job with one card."""
    bots.stack.slack.fail_next("users.info", times=2, status=503)
    bots.stack.slack.fail_next("chat.postMessage", times=2, status=503)
    bots.start(1)
    bots.schedule(1)
    bots.wait(lambda: bots.ada.messages() and bots.are_seen_to())
    assert len(bots.jobs()) == 1
    (card,) = bots.ada.messages()
    assert "through schedule s1" in card.plain


def test_a_schedule_whose_command_makes_no_sense_any_more_says_so_and_stays(bots: Bots) -> None:
    """A model that is gone, a cap that was lowered: once for each firing, in its channel, and the others fire."""
    first_due_s = bots.schedule(1, command="/model train tulips").next_due_s
    bots.schedule(2, command="/model train iris")
    bots.schedule(3, command="/loadtest 10furlongs iris on staging")
    bots.start(2)
    bots.wait(lambda: bots.are_seen_to() and len(bots.ada.messages()) >= 3)
    told = sorted(one.plain for one in bots.ada.messages() if "started nothing" in one.plain)
    assert len(told) == 2
    assert "Schedule s1" in told[0] and "tulips" in told[0] and "/schedule remove s1" in told[0]
    assert "Schedule s3" in told[1]
    assert [record.asked.scheduled_by for record in bots.jobs()] == ["s2"]
    assert [schedule.id for schedule in bots.schedules.all()] == ["s1", "s2", "s3"]
    assert first_due_s is not None
    bots.schedule(1, command="/model train tulips", due_s=first_due_s - 60)
    bots.wait(lambda: sum("Schedule s1" in one.plain for one in bots.ada.messages()) == 2)


def test_a_schedule_whose_channel_takes_no_card_tells_who_added_it(bots: Bots) -> None:
    """The bot was removed from the channel: its author hears of it, in a direct message."""
    bots.schedule(1, channel=RANDOM)
    bots.start(1)
    bots.wait(bots.are_seen_to)
    app = bots.stack.slack.server.workspace.app
    direct = bots.stack.slack.server.workspace.direct(bots.stack.slack.server.workspace.member(bots.ada.id))
    (told,) = bots.ada.messages(direct.id)
    assert told.user == app.user_id
    assert "Schedule s1" in told.plain and f"was due in <#{RANDOM}>" in told.plain and "/invite" in told.plain
    assert bots.jobs() == []


def test_run_now_is_one_job_however_often_it_is_typed_at_once(bots: Bots) -> None:
    """Whoever comes second is told which job it is already; the card goes where the schedule was added."""
    bots.stack.start_bot()
    ada, grace = bots.ada, bots.stack.person("Grace")
    added = ask(ada, '/schedule add "0 2 * * 1-5" Europe/Berlin model train iris')
    assert "02:00" in added.plain and "in Europe/Berlin" in added.plain and "<!date^" in added.plain
    card = ask(ada, "/schedule run s1")
    assert "through schedule s1" in card.plain
    assert "already" in post_ephemeral(grace, "/schedule run s1")
    assert "already" in post_ephemeral(grace, "/schedule run s1", channel="random")
    assert len(bots.jobs()) == 1
    bots.stack.queue.cancel(bots.jobs()[0].id, by=ada.id)
    assert "is paused" in post_ephemeral(ada, "/schedule pause s1")
    assert "paused" in post_ephemeral(ada, "/schedule list")
    resumed = post_ephemeral(ada, "/schedule resume s1")
    assert "fires again" in resumed and "02:00" in resumed
    assert "paused" not in post_ephemeral(ada, "/schedule list")
    assert "Where clocks change" in post_ephemeral(ada, "/schedule help")
