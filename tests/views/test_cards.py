"""Every state of every job's card, against golden files. UPDATE_GOLDEN=1 writes them anew; then read the diff."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bot.local_slack.limits import check_message
from bot.views import job_card
from bot.views.blocks import Message, escape
from workers.contract import events as e
from workers.contract.jobs import Asked, Deploy, Job, LoadTest, Replicas, Scale, Slo, TrainModel
from workers.contract.outcomes import Deployed, Rescaled, Tested, Trained
from workers.contract.record import Record, State, fold

GOLDEN = Path(__file__).parent / "golden"
T0 = 1_790_000_000.0

TRAIN = TrainModel(model="iris")
DEPLOY = Deploy(model="iris", version=3, environment="production", digest="sha256:" + "ab12" * 16)
SCALE = Scale(model="iris", environment="staging", replicas=Replicas(minimum=2, maximum=6))
LOAD = LoadTest(
    model="iris",
    environment="staging",
    rate_rps=1000.0,
    duration_s=30.0,
    slo=Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0),
)

TRAINED = Trained(version=3, digest="sha256:0", metrics={"accuracy": 0.967, "roc_auc": 0.998}, size_bytes=2048)
DEPLOYED = Deployed(
    version=3, previous=2, address="http://127.0.0.1:40123", ready=2, replicas=Replicas(minimum=1, maximum=4)
)
RESCALED = Rescaled(before=1, after=2, replicas=Replicas(minimum=2, maximum=6))
TESTED = Tested(
    verdict="FAIL",
    reasons=("p95 was 312 ms, wanted below 200 ms.",),
    asked_rps=1000.0,
    achieved_rps=998.7,
    requests=29961,
    failures=12,
    failures_by_kind={"HTTP 503": 12},
    latency_ms={50.0: 2.1, 95.0: 312.0, 99.0: 480.4, 100.0: 1203.0},
    replicas_before=1,
    replicas_most=4,
    scaled_after_s=7.0,
)
ENDS = {TRAIN: TRAINED, DEPLOY: DEPLOYED, SCALE: RESCALED, LOAD: TESTED}

APPROVAL = e.ApprovalRequested(at_s=T0, count=2, approvers=("@ml-leads", "U2"), own=False, expires_at_s=T0 + 1800)
STARTED = e.Started(at_s=T0 + 5, attempt=1, worker="w1")


def blank(job: Job) -> Record:
    """A job that was just asked for."""
    return Record(id="42", job=job, asked=Asked(by="U0ADA", by_name="Ada", where="C1", at_s=T0))


def working(job: Job) -> list[e.Event]:
    """A job in the middle of its first two steps."""
    first, *rest = job.steps
    happened: list[e.Event] = [
        e.Queued(at_s=T0),
        STARTED,
        e.StepStarted(at_s=T0 + 5, step=first),
        e.Progressed(at_s=T0 + 6, step=first, done=30, total=100, fact="iteration 30, loss 0.21"),
    ]
    if rest:
        happened += [
            e.StepFinished(at_s=T0 + 7.4, step=first, fact="150 rows"),
            e.StepStarted(at_s=T0 + 7.4, step=rest[0]),
            e.Progressed(at_s=T0 + 8, step=rest[0], done=1, total=4, fact="a < b & *c*"),
        ]
    return happened


def story(job: Job, state: State) -> list[e.Event]:
    """What happens to a job until it is in `state`."""
    run = working(job)
    stories: dict[State, list[e.Event]] = {
        "reserved": [],
        "awaiting_approval": [APPROVAL, e.Approved(at_s=T0 + 1, by="U2")],
        "queued": [e.Queued(at_s=T0)],
        "waiting": [e.Waiting(at_s=T0, behind="41")],
        "running": run,
        "succeeded": [*run, e.Succeeded(at_s=T0 + 12, outcome=ENDS[job])],
        "failed": [*run, e.Failed(at_s=T0 + 12, reason="The gate stays shut.", advice="Change the query.")],
        "cancelled": [*run, e.CancelRequested(at_s=T0 + 11, by="U2"), e.Cancelled(at_s=T0 + 12, by="U2")],
        "denied": [APPROVAL, e.Denied(at_s=T0 + 12, by="U2")],
        "expired": [APPROVAL, e.Expired(at_s=T0 + 1800)],
        "lost": [*run, e.Lost(at_s=T0 + 12, reason="4 workers stopped in the middle of this job.")],
    }
    return stories[state]


def special() -> dict[str, Record]:
    """Pictures beside the plain states."""
    run = working(LOAD)
    measured = e.Measured(
        at_s=T0 + 9,
        second_s=9.0,
        asked_rps=1000.0,
        achieved_rps=997.0,
        failures_per_s=0.0,
        p50_ms=1.9,
        p95_ms=12.0,
    )
    grown = [e.Scaled(at_s=T0 + 9, before=1, after=2, reason="CPU 131 % of the request, target 60 %")]
    taken_over = e.Started(at_s=T0 + 20, attempt=2, worker="w2", taken_over=True)
    passed = replace(TESTED, verdict="PASS", reasons=(), failures=0, failures_by_kind={})
    return {
        "load_test-measured": fold(blank(LOAD), [*run, *grown, measured]),
        "load_test-stopping": fold(blank(LOAD), [*run, e.CancelRequested(at_s=T0 + 11, by="U2")]),
        "load_test-passed": fold(blank(LOAD), [*run, *grown, e.Succeeded(at_s=T0 + 40, outcome=passed)]),
        "deploy-taken_over": fold(blank(DEPLOY), [*working(DEPLOY), taken_over]),
        "deploy-first": fold(
            blank(DEPLOY),
            [*working(DEPLOY), e.Succeeded(at_s=T0 + 9, outcome=replace(DEPLOYED, previous=None, ready=1))],
        ),
        "train_model-handed_back": fold(
            blank(TRAIN), [*working(TRAIN), e.HandedBack(at_s=T0 + 8, reason="The worker is shutting down.", after_s=0)]
        ),
    }


CASES = {
    f"{job.kind}-{state}": fold(blank(job), story(job, state)) for job in ENDS for state in get_args(State)
} | special()


@pytest.mark.parametrize("name", CASES)
def test_the_card_is_as_it_was_last_looked_at(name: str) -> None:
    """A card changes only with its golden file."""
    shown = job_card.card(CASES[name], ahead=fold(blank(DEPLOY), []) if CASES[name].waits_for else None)
    _slack_takes(shown)
    text = json.dumps({"text": shown.text, "blocks": shown.blocks}, indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_no_golden_file_is_of_a_card_that_is_no_more() -> None:
    """The folder holds just the cards above."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)


def test_every_state_is_told_in_a_word() -> None:
    """A new state needs a word and a sign."""
    assert set(job_card._STATES) == set(get_args(State))


@pytest.mark.parametrize(
    "hostile", ["<!channel> & <@U1>", "`code` *bold* _it_ ~s~", "x" * 20_000, "\u202eabc 😀\n\x00"]
)
def test_what_others_wrote_cannot_break_a_card(hostile: str) -> None:
    """A reason, a fact, an advice of any kind is shown and does nothing, and Slack takes the card."""
    happened = [
        *working(TRAIN),
        e.StepFinished(at_s=T0 + 9, step="evaluate", fact=hostile),
        e.Failed(at_s=T0 + 12, reason=hostile, advice=hostile),
    ]
    shown = job_card.card(fold(blank(TRAIN), happened))
    assert "<!channel>" not in str(shown.blocks)
    _slack_takes(shown)


def test_escaping_keeps_names_whole() -> None:
    """An underscore within a word is no mark-up and stays as it is, so that it can be copied."""
    assert escape("roc_auc 0.998") == "roc_auc 0.998"
    assert escape("a*b*c") == "a*b*c"
    assert escape("*bold*") != "*bold*"


def _slack_takes(shown: Message) -> None:
    check_message(text=shown.text, blocks=list(shown.blocks))
