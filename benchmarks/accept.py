"""Acceptance of a command (verify, parse, reserve, card, submit) compared with a bare Bolt handler that only acks.

Both use the same client and HTTP server, run on one core, and take turns. A command is accepted when its card is
posted and its job queued: a fast ack does not count if the bot falls behind.
"""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import redis

from benchmarks.slash_commands import CLIENTS, Acks, SlashClient, at_once, at_rate
from benchmarks.stack import BenchmarkStack, on_one_core, stack
from benchmarks.table import Row, percentile, show
from bot.demo.processes import await_port, free_port, process
from workers.contract import events as e
from workers.contract.queue import Queue

COMMANDS = 1000
ROUNDS = 3
RATE_PER_S = 50.0
RATE_FOR_S = 20.0
_PATIENCE_S = 120.0


def run() -> None:
    """Measure and print a table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        with (
            stack(folder, config=_settings(folder), slack="benchmarks.slack_stand_in", worker=False) as seatrial,
            process(
                "bare", on_one_core("-m", "benchmarks.bare_handler", str(port)), folder=folder, environ=seatrial.for_bot
            ) as bare,
        ):
            await_port(bare, port, name="bare", folder=folder)
            rows = _throughput(seatrial, seatrial.slash.at(port)) + _latency(seatrial, seatrial.slash.at(port))
    show("accept: a command from Slack to the queue, its card posted; no worker", rows)


def _throughput(seatrial: BenchmarkStack, bare: SlashClient) -> list[Row]:
    bare_per_s, acked_per_s, accepted_per_s = [], [], []
    _warm_up(seatrial, bare)
    for _ in range(ROUNDS):
        bare_per_s.append(_checked(at_once(bare, _commands(COMMANDS))).per_second)
        acks = _checked(at_once(seatrial.slash, _commands(COMMANDS)))
        acked_per_s.append(acks.per_second)
        accepted_per_s.append(COMMANDS / _accepted_in_s(seatrial.queue, acks.began_at_s, COMMANDS))
        _reset(seatrial)
    base = median(bare_per_s)
    beside = f"bare handler {base:,.0f}/s"
    accepted, acked = median(accepted_per_s), median(acked_per_s)
    return [
        Row(
            what=f"accepted whole, {CLIENTS} clients",
            measured=f"{accepted:,.0f}/s",
            compared=beside,
            ratio=accepted / base,
            goal="≥ 0.5",
            reached=accepted / base >= 0.5,
        ),
        Row(what="acks alone", measured=f"{acked:,.0f}/s", compared=beside, ratio=acked / base),
    ]


def _latency(seatrial: BenchmarkStack, bare: SlashClient) -> list[Row]:
    count = int(RATE_PER_S * RATE_FOR_S)
    base = _checked(at_rate(bare, _commands(count), per_s=RATE_PER_S)).latencies_ms
    acks = _checked(at_rate(seatrial.slash, _commands(count), per_s=RATE_PER_S))
    _accepted_in_s(seatrial.queue, acks.began_at_s, count)
    rows = []
    for percent, goal_ms in ((50, None), (99, 100.0)):
        found, beside = percentile(acks.latencies_ms, percent), percentile(base, percent)
        rows.append(
            Row(
                what=f"ack p{percent} at {RATE_PER_S:g} commands/s",
                measured=f"{found:.1f} ms",
                compared=f"bare handler {beside:.1f} ms",
                ratio=found / beside,
                goal=f"≤ {goal_ms:g} ms" if goal_ms else "",
                reached=found <= goal_ms if goal_ms else None,
            )
        )
    return rows


def _commands(count: int) -> list[str]:
    """Return commands for different resources: jobs of one resource run one after the other."""
    return [f"/model train m{place}" for place in range(count)]


def _settings(folder: Path) -> Path:
    """Write settings with as many models as a round has commands."""
    file = folder / "seatrial.toml"
    model = '[models.m{}]\ntype = "linear_reg"\nlabel = "y"\nquery = "SELECT 1 AS x, 2 AS y"\nsample = [{{ x = 1 }}]\n'
    file.write_text("".join(model.format(place) for place in range(max(COMMANDS, int(RATE_PER_S * RATE_FOR_S)))))
    return file


def _warm_up(seatrial: BenchmarkStack, bare: SlashClient) -> None:
    at_once(bare, _commands(100))
    acks = at_once(seatrial.slash, _commands(100))
    _accepted_in_s(seatrial.queue, acks.began_at_s, 100)
    _reset(seatrial)


def _checked(acks: Acks) -> Acks:
    if acks.refused:
        print(f"{acks.refused} commands got another status than 200. The figures below are invalid.")
    return acks


def _accepted_in_s(queue: Queue, since_s: float, count: int) -> float:
    """Return the time from `since_s` until the last of `count` jobs was queued."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        # Check the newest hundred first, then all: the newest jobs are not always accepted last.
        newest = queue.recent(min(count, 100))
        if newest and all(record.state == "queued" for record in newest):
            records = queue.recent(count + 1)
            if len(records) == count and all(record.state == "queued" for record in records):
                break
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"Not all of {count} commands became jobs in {_PATIENCE_S:g} s.")
        time.sleep(0.1)
    all_events = (event for record in records for event in queue.events(record.id))
    return max(event.at_s for event in all_events if isinstance(event, e.Queued)) - since_s


def _reset(seatrial: BenchmarkStack) -> None:
    """Wait until the bot has rendered all cards, then empty Redis, so that rounds begin alike."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while seatrial.queue.dirty() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    client = redis.Redis.from_url(seatrial.redis_url)
    client.flushall()
    client.close()
