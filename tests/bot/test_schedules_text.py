"""Time zones and intervals in `/schedule add`, and long lists of schedules."""

from dataclasses import replace

import pytest

from bot.commands import read
from bot.commands.command import UsageError
from bot.commands.model import SubmitTraining
from bot.commands.schedule.add import AddSchedule
from bot.schedules.clock import next_times
from bot.schedules.overlap import overlap
from bot.state import Result, Schedule
from bot.views import schedules
from tests.bot.lookup import LookupValues
from workers.contract.jobs import Asked, Job, LoadTest, TrainModel
from workers.contract.load import Shape, Slo
from workers.contract.record import Record

NOW_S = 1_795_392_000.0
LOAD_TEST = LoadTest(
    model="iris", environment="staging", shape=Shape(lowest_rps=1, highest_rps=1), duration_s=60, slo=Slo()
)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Europe/Berlin model train iris", "Europe/Berlin"),
        ("in europe/berlin model train iris", "Europe/Berlin"),
        ("model train iris Europe/Berlin", "Europe/Berlin"),
        ("model train iris in europe/berlin", "Europe/Berlin"),
        ("model train iris", "UTC"),
    ],
)
def test_time_zone_may_stand_before_or_after_the_command(text: str, zone: str) -> None:
    added = read("/schedule", f'add "0 2 * * *" {text}', LookupValues())
    assert added == AddSchedule(cron="0 2 * * *", time_zone=zone, submit=SubmitTraining(job=TrainModel(model="iris")))


@pytest.mark.parametrize("zone", ["Mars/Base", "New York", "UTC+2", "GMT-0530"])
def test_unknown_time_zone_has_no_suggestion(zone: str) -> None:
    with pytest.raises(UsageError) as caught:
        read("/schedule", f'add "0 2 * * *" {zone} model train iris', LookupValues())
    assert zone.split(maxsplit=1)[0] in caught.value.problem
    assert caught.value.nearest == ""


@pytest.mark.parametrize("count", [15, 60])
def test_long_list_has_the_next_firing_and_last_result_of_every_schedule(count: int) -> None:
    found = [_schedule(number) for number in range(count)]
    answer = schedules.listed([(one, next_times(one, after_s=NOW_S)) for one in found])
    text = "\n".join(block["text"]["text"] for block in answer.blocks)
    for one in found:
        (entry,) = (part for part in text.split("*s")[1:] if part.startswith(f"{one.id[1:]}*"))
        assert "next: Mon 23 Nov 02:00" in entry and "*FAIL*" in entry and "100rps for 5m iris on staging" in entry


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (replace(LOAD_TEST, duration_s=30.0), None),
        (replace(LOAD_TEST, duration_s=55.0), (60.0, 65.0)),
        (TrainModel(model="iris"), (60.0, 90.0)),
        (TrainModel(model="tulips"), None),
    ],
)
def test_interval_is_compared_with_the_load_or_the_last_run(job: Job, expected: tuple[float, float] | None) -> None:
    trained = Record(
        id="1",
        job=TrainModel(model="iris"),
        asked=Asked(by="U1", by_name="Ada", where="C1"),
        state="succeeded",
        started_at_s=NOW_S,
        ended_at_s=NOW_S + 90,
    )
    assert overlap([NOW_S, NOW_S + 3600, NOW_S + 3660], job, [trained]) == expected


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
