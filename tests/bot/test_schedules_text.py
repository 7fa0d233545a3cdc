"""What `/schedule` understands of zones, what it suggests, and what it says of many schedules."""

import pytest

from bot.commands import read
from bot.commands.command import UsageError
from bot.commands.model import SubmitTraining
from bot.commands.schedule.requests import AddSchedule
from bot.schedules import next_times
from bot.state import Result, Schedule
from bot.views import schedules
from tests.bot.lookup import LookupValues
from workers.contract.jobs import TrainModel

NOW_S = 1_795_392_000.0


@pytest.mark.parametrize(
    ("typed", "zone"),
    [
        ("Europe/Berlin model train iris", "Europe/Berlin"),
        ("in europe/berlin model train iris", "Europe/Berlin"),
        ("model train iris Europe/Berlin", "Europe/Berlin"),
        ("model train iris in europe/berlin", "Europe/Berlin"),
        ("model train iris", "UTC"),
    ],
)
def test_the_time_zone_may_stand_before_or_behind_the_command(typed: str, zone: str) -> None:
    """Whoever names it last must not be offered the same command at another hour."""
    added = read("/schedule", f'add "0 2 * * *" {typed}', LookupValues())
    assert added == AddSchedule(cron="0 2 * * *", time_zone=zone, submit=SubmitTraining(job=TrainModel(model="iris")))


@pytest.mark.parametrize("zone", ["Mars/Base", "New York"])
def test_a_zone_that_is_like_none_is_left_out_of_what_is_suggested_and_the_command_is_not(zone: str) -> None:
    """Nobody who wants to train is offered a load test."""
    with pytest.raises(UsageError) as caught:
        read("/schedule", f'add "0 2 * * *" {zone} model train iris', LookupValues())
    assert zone.split(maxsplit=1)[0] in caught.value.problem
    assert caught.value.nearest == '/schedule add "0 2 * * *" model train iris'


@pytest.mark.parametrize("count", [15, 60])
def test_each_of_many_schedules_is_listed_with_when_it_is_due_and_how_it_ended(count: int) -> None:
    """None is left out for those before it."""
    found = [_schedule(number) for number in range(count)]
    listed = schedules.listed([(one, next_times(one, after_s=NOW_S)) for one in found])
    said = "\n".join(block["text"]["text"] for block in listed.blocks)
    for one in found:
        (at,) = (place for place in said.split("*s")[1:] if place.startswith(f"{one.id[1:]}*"))
        assert "next: Mon 23 Nov 02:00" in at and "*FAIL*" in at and "100rps for 5m iris on staging" in at


def _schedule(number: int) -> Schedule:
    return Schedule(
        id=f"s{number}",
        cron="0 2 * * 1-5",
        time_zone="Europe/Berlin",
        command="/loadtest 100rps for 5m iris on staging",
        channel="C1",
        by="U1",
        by_name="Ada",
        next_due_s=NOW_S + 3600,
        result=Result(job_id="7", status="FAIL", at_s=NOW_S),
    )
