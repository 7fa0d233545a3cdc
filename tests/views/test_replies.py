"""Answers and messages about schedules: complete lines, and no accidental mark-up."""

from dataclasses import replace

import pytest

from bot.blocks import MOST_BLOCKS, SECTION_TEXT, date
from bot.state import Schedule
from bot.views import replies, schedules
from workers.contract.catalogue import Version
from workers.contract.jobs import Asked, Deploy, TrainModel
from workers.contract.record import Record
from workers.contract.settings import Approvals

COMMAND = "/loadtest 100rps for 5s iris on staging slo p95<150ms,errors<2% abort errors>30% for 3s"
LEAP = Schedule(
    id="s1",
    cron="0 2 29 2 *",
    time_zone="Europe/Berlin",
    command=COMMAND,
    channel="C1",
    by="U1",
    by_name="Ada",
    next_due_s=1_835_398_800.0,
)


def test_long_list_of_jobs_has_every_line_whole() -> None:
    """Long names need several paragraphs."""
    model = "m" * 200
    asked = Asked(by="U1", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    records = [Record(id=str(number), job=TrainModel(model=model), asked=asked) for number in range(15)]
    answer = replies.jobs(records, "empty")
    texts = [block["text"]["text"] for block in answer.blocks]
    lines = "\n".join(texts).splitlines()
    assert len(lines) == 15
    assert all(line.endswith("UTC>") and model in line for line in lines)
    assert all(len(text) <= SECTION_TEXT for text in texts)
    assert len(texts) < MOST_BLOCKS


def test_listed_job_has_the_status_of_its_card_and_its_day() -> None:
    asked = Asked(by="U1", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    record = Record(id="1", job=TrainModel(model="iris"), asked=asked, waits_for="41")
    statuses = {"awaiting_approval": "waits for approval", "waiting": "queued behind #41", "lost": "lost"}
    for state, status in statuses.items():
        (line,) = replies.jobs([replace(record, state=state)], "empty").text.splitlines()
        assert f" · {status} · " in line
        assert "^{date_short_pretty} {time}|" in line
    assert " · stopping · " in replies.jobs([replace(record, state="running", cancel_by="U1")], "empty").text


def test_removed_schedule_shows_its_command_escaped() -> None:
    """Slack would read the signs of an SLO as a link."""
    answer = schedules.removed(LEAP)
    assert "p95&lt;150ms,errors&lt;2% abort errors&gt;30%" in answer.text
    assert "<150ms" not in str(answer)


def test_schedule_that_names_months_shows_the_year() -> None:
    assert "Tue 29 Feb 2028 02:00" in schedules.listed([(LEAP, [1_835_398_800.0])]).text


def test_paused_schedule_shows_how_to_resume_it_and_no_time() -> None:
    answer = schedules.listed([(replace(LEAP, next_due_s=None), [1_835_398_800.0])]).text
    assert "next" not in answer
    assert "*paused*; `/schedule resume s1` starts it again" in answer


def test_dry_run_says_in_its_text_that_nothing_was_started() -> None:
    """A screen reader reads the text only. Approvers are mentioned by their names."""
    job = Deploy(model="iris", version=1, environment="production", digest="sha256:0")
    answer = replies.dry_run(job, Approvals.model_validate({"count": 2, "from": ("U0GRACE", "@ml-leads")}))
    assert "Nothing was started." in answer.text
    assert "2 approvals from <@U0GRACE> or @ml-leads, other than the requester." in answer.text


def test_version_shows_the_means_of_its_features_in_one_paragraph() -> None:
    few = {"age": 29.699118, "fare<b>": 32.2042079, "seen_at_s": 1767225661.25, "delta": -0.00001}
    many = {f"{'column' * 40}_{number}": 0.5 for number in range(300)}
    common = {"model": "iris", "digest": "", "size_bytes": 1, "trained_by": "Ada", "created_at_s": 1.0, "job_id": "1"}
    versions = [
        Version(version=number, metrics={"accuracy": 1.0}, means=means, **common)
        for number, means in enumerate((few, many, {}), 1)
    ]
    answer = replies.model("iris", versions, [])
    assert "Means: age 29.6991 · fare&lt;b&gt; 32.2042 · seen_at_s 1767230000 · delta -0.00001\n" in answer.text + "\n"
    assert "… and 297 more" in answer.text
    assert answer.text.count("Means") == 2
    assert all(len(block["text"]["text"]) <= SECTION_TEXT for block in answer.blocks)


@pytest.mark.parametrize(
    ("at_s", "shown"),
    [(-62135596801.0, "0001-01-01 00:00:00 UTC"), (1e300, "9999-12-31 23:59:59 UTC"), (0.5, "1970-01-01 00:00:00 UTC")],
)
def test_time_of_a_damaged_record_is_the_nearest_that_can_be_shown(at_s: float, shown: str) -> None:
    assert date(at_s).endswith(f"|{shown}>")
