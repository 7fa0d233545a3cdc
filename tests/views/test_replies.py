"""Answers and schedules in words: nothing cut in the middle, nothing that Slack would take for mark-up."""

from dataclasses import replace

from bot.blocks import MOST_BLOCKS, SECTION_TEXT
from bot.state import Schedule
from bot.views import replies, schedules
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


def test_a_long_list_of_jobs_is_shown_whole() -> None:
    """Long names take several paragraphs; no line is cut in the middle of a mention or a time."""
    model = "m" * 200
    asked = Asked(by="U1", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    records = [Record(id=str(number), job=TrainModel(model=model), asked=asked) for number in range(15)]
    shown = replies.jobs(records, "nothing")
    texts = [block["text"]["text"] for block in shown.blocks]
    lines = "\n".join(texts).splitlines()
    assert len(lines) == 15
    assert all(line.endswith("UTC>") and model in line for line in lines)
    assert all(len(text) <= SECTION_TEXT for text in texts)
    assert len(texts) < MOST_BLOCKS


def test_a_job_in_a_list_is_told_in_its_cards_words() -> None:
    """And with its day: the newest ten jobs may be of ten days."""
    asked = Asked(by="U1", by_name="Ada", where="C1", at_s=1_790_000_000.0)
    record = Record(id="1", job=TrainModel(model="iris"), asked=asked)
    for state, said in (
        ("awaiting_approval", "waits for approval"),
        ("waiting", "queued behind #41"),
        ("lost", "lost"),
    ):
        (line,) = replies.jobs([replace(record, state=state, waits_for="41")], "nothing").text.splitlines()
        assert f" · {said} · " in line
        assert "^{date_short_pretty} {time}|" in line
    assert " · stopping · " in replies.jobs([replace(record, state="running", cancel_by="U1")], "nothing").text


def test_what_was_scheduled_is_shown_as_it_was_typed() -> None:
    """Objectives have signs that Slack takes for a link."""
    shown = schedules.removed(LEAP)
    assert "p95&lt;150ms,errors&lt;2% abort errors&gt;30%" in shown.text
    assert "<150ms" not in str(shown)


def test_times_of_other_years_say_which_year() -> None:
    """29 February comes every four years; what comes every day needs no year."""
    assert "Tue 29 Feb 2028 02:00" in schedules.listed([(LEAP, [1_835_398_800.0])]).text


def test_a_paused_schedule_shows_no_time_but_how_to_resume_it() -> None:
    """Nothing is due; a time would read as if it were."""
    shown = schedules.listed([(replace(LEAP, next_due_s=None), [1_835_398_800.0])]).text
    assert "next" not in shown
    assert "*paused*; `/schedule resume s1` starts it again" in shown


def test_a_dry_run_says_to_everybody_that_nothing_was_started() -> None:
    """A screen reader reads the text alone; members are mentioned, not named by their ids."""
    job = Deploy(model="iris", version=1, environment="production", digest="sha256:0")
    shown = replies.dry_run(job, Approvals.model_validate({"count": 2, "from": ("U0GRACE", "@ml-leads")}))
    assert "Nothing was started." in shown.text
    assert "2 approvals from <@U0GRACE> or @ml-leads, other than the requester." in shown.text
