"""Cards in every state of every kind of job, against golden files. UPDATE_GOLDEN=1 writes the files; read the diff."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bot.blocks import Message, escape
from bot.cards import card
from bot.local_slack.limits import check_message
from workers.contract import events as e
from workers.contract.jobs import (
    Asked,
    CapacityFound,
    CheckModel,
    CheckPassed,
    Deploy,
    Deployed,
    EarlierRuns,
    FindCapacity,
    Job,
    LoadTest,
    Probe,
    Rescaled,
    Scale,
    Tested,
    Trained,
    TrainModel,
)
from workers.contract.load import Sample, Shape, Slo
from workers.contract.record import Record, State, fold
from workers.contract.replicas import Replicas

GOLDEN = Path(__file__).parent / "golden"
T0 = 1_790_000_000.0

TRAIN = TrainModel(model="iris")
CHECK = CheckModel(model="iris")
DEPLOY = Deploy(model="iris", version=3, environment="production", digest="sha256:" + "ab12" * 16)
SCALE = Scale(model="iris", environment="staging", replicas=Replicas(minimum=2, maximum=6))
LOAD = LoadTest(
    model="iris",
    environment="staging",
    shape=Shape(lowest_rps=1000.0, highest_rps=1000.0),
    duration_s=30.0,
    slo=Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0),
)

TARGET = replace(
    LOAD,
    model="",
    environment="docs",
    shape=Shape(kind="steps", lowest_rps=100.0, highest_rps=2000.0),
    duration_s=300.0,
    ramp_s=30.0,
    owner="@search",
)
FIND = FindCapacity(
    model="iris",
    environment="staging",
    lowest_rps=100.0,
    highest_rps=10_000.0,
    probe_s=20.0,
    slo=Slo(latency_ms=((95.0, 100.0), (99.0, 250.0)), errors_percent=1.0),
)

TRAINED = Trained(
    version=3,
    digest="sha256:0",
    metrics={"accuracy": 0.967, "roc_auc": 0.998},
    size_bytes=2048,
    means={"petal_length": 3.7580000000000027, "seen_at_s": 1767225661.25},
)
CHECKED = CheckPassed(
    model_type="logistic_reg",
    label="species",
    features={"petal_length": "number", "colour": "string"},
    cost="1.2 GB to read, about $0.34, 1.2 % of max_bytes",
)
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
    latency_ms={50.0: 2.1, 90.0: 95.3, 95.0: 312.0, 99.0: 480.4, 99.9: 990.0, 100.0: 1203.0},
    replicas_before=1,
    replicas_most=4,
    scaled_after_s=7.0,
    settled_after_s=19.0,
    send_lag_ms={50.0: 0.03, 99.0: 0.42},
    service_ms={50.0: 1.9, 99.0: 468.0},
    earlier=EarlierRuns(
        runs=7, verdict="PASS", achieved_rps=999.0, errors_percent=0.0, latency_ms={50.0: 2.1, 95.0: 41.0, 99.0: 500.0}
    ),
)
ABORTED = Tested(
    verdict="FAIL",
    reasons=("More than 50 % of the requests failed in each of 10 seconds, so the test was ended early.",),
    asked_rps=100.0,
    achieved_rps=100.0,
    requests=1400,
    failures=1390,
    failures_by_kind={"connection refused": 1300, "not sent: too many requests were under way": 90},
    latency_ms={},
    replicas_before=0,
    replicas_most=0,
    scaled_after_s=None,
    dropped=90,
    aborted_after_s=14.0,
)
DOWN = replace(
    ABORTED,
    reasons=("The target https://docs.example.com/ does not answer: connection refused; no load was sent.",),
    achieved_rps=0.0,
    requests=0,
    failures=0,
    failures_by_kind={},
    dropped=0,
    aborted_after_s=None,
)
PROBES = tuple(
    Probe(
        rate_rps=rate_rps,
        verdict="PASS" if p95_ms < 100 else "FAIL",
        reason="" if p95_ms < 100 else "p95 was 181 ms, 81 ms above the objective of 100 ms.",
        latency_ms={50.0: p95_ms / 4, 95.0: p95_ms, 99.0: 2 * p95_ms},
        errors_percent=errors_percent,
        replicas=replicas,
    )
    for rate_rps, p95_ms, errors_percent, replicas in (
        (100.0, 2.1, 0.0, 1),
        (800.0, 2.6, 0.0, 1),
        (3200.0, 181.0, 0.13, 4),
        (2400.0, 38.0, 0.0, 3),
    )
)
FOUND = CapacityFound(
    rate_rps=2400.0,
    replicas=3,
    limit="3,200 rps did not hold. p95 was 181 ms, 81 ms above the objective of 100 ms.",
    probes=PROBES,
)
ENDS = {TRAIN: TRAINED, CHECK: CHECKED, DEPLOY: DEPLOYED, SCALE: RESCALED, LOAD: TESTED, FIND: FOUND}

APPROVAL = e.ApprovalRequested(at_s=T0, count=2, approvers=("@ml-leads", "U2"), own=False, expires_at_s=T0 + 1800)
STARTED = e.Started(at_s=T0 + 5, attempt=1, worker="w1")


def blank(job: Job) -> Record:
    """Return the record of a job that was just requested."""
    return Record(id="42", job=job, asked=Asked(by="U0ADA", by_name="Ada", where="C1", at_s=T0))


def working(job: Job) -> list[e.Event]:
    """Return the events of a job that is in its second step, or in its only one."""
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


def worked(job: Job) -> list[e.Event]:
    """Return the events of a job that has finished all its steps."""
    happened = working(job)
    for place, step in enumerate(job.steps[1:]):
        if place:
            happened.append(e.StepStarted(at_s=T0 + 9, step=step))
        happened.append(e.StepFinished(at_s=T0 + 10, step=step, fact=""))
    return happened if len(job.steps) > 1 else [*happened, e.StepFinished(at_s=T0 + 10, step=job.steps[0], fact="")]


def story(job: Job, state: State) -> list[e.Event]:
    """Return the events that lead to `state`."""
    run = working(job)
    stories: dict[State, list[e.Event]] = {
        "reserved": [],
        "awaiting_approval": [APPROVAL, e.Approved(at_s=T0 + 1, by="U2")],
        "queued": [e.Queued(at_s=T0)],
        "waiting": [e.Waiting(at_s=T0, behind="41")],
        "running": run,
        "succeeded": [*worked(job), e.Succeeded(at_s=T0 + 12, outcome=ENDS[job])],
        "failed": [*run, e.Failed(at_s=T0 + 12, reason="The quality gate failed.", advice="Change the query.")],
        "cancelled": [*run, e.CancelRequested(at_s=T0 + 11, by="U2"), e.Cancelled(at_s=T0 + 12, by="U2")],
        "denied": [APPROVAL, e.Denied(at_s=T0 + 12, by="U2")],
        "expired": [APPROVAL, e.Expired(at_s=T0 + 1800)],
        "lost": [
            *run,
            e.Lost(at_s=T0 + 12, reason="4 workers stopped while they ran this job. It will not be tried again."),
        ],
    }
    return stories[state]


def special() -> dict[str, Record]:
    """Return records for the cards beyond one for each state."""
    run = working(LOAD)
    sample = Sample(
        at_s=9.0,
        asked_rps=1000.0,
        achieved_rps=997.0,
        failures_per_s=0.0,
        p50_ms=1.9,
        p95_ms=12.0,
        requests=8973,
        failures=40,
        dropped=3,
    )
    measured = e.Measured(at_s=T0 + 9, sample=sample, left_s=21.0, replicas=2)
    grown = [e.Scaled(at_s=T0 + 9, before=1, after=2, reason="CPU 131 % of the request, target 60 %")]
    took_over = e.Started(at_s=T0 + 20, attempt=2, worker="w2", took_over=True)
    passed = replace(
        TESTED,
        verdict="PASS",
        reasons=(),
        failures=0,
        failures_by_kind={},
        earlier=None,
        send_lag_ms={},
        replicas_most=1,
    )
    passed = replace(passed, scaled_after_s=None)
    none_held = replace(FOUND, rate_rps=None, limit="100 rps, the lowest rate, did not hold.", probes=PROBES[2:3])
    on_target = replace(FOUND, replicas=0, probes=tuple(replace(probe, replicas=0) for probe in PROBES))
    return {
        "deploy-behind_a_load_test": fold(blank(DEPLOY), [e.Waiting(at_s=T0, behind="41")]),
        "load_test-target_awaiting_approval": fold(blank(TARGET), [APPROVAL]),
        "load_test-target_measured": fold(
            blank(TARGET), [*run, replace(measured, replicas=0, sample=replace(sample, dropped=0))]
        ),
        "load_test-target_down": fold(blank(TARGET), [*worked(TARGET), e.Succeeded(at_s=T0 + 20, outcome=DOWN)]),
        "load_test-aborted": fold(blank(TARGET), [*worked(TARGET), e.Succeeded(at_s=T0 + 20, outcome=ABORTED)]),
        "find_capacity-measured": fold(blank(FIND), [*working(FIND), measured]),
        "find_capacity-none_held": fold(blank(FIND), [*worked(FIND), e.Succeeded(at_s=T0 + 40, outcome=none_held)]),
        "find_capacity-target": fold(
            blank(replace(FIND, model="", environment="docs", owner="U2")),
            [*worked(FIND), e.Succeeded(at_s=T0 + 40, outcome=on_target)],
        ),
        "load_test-measured": fold(blank(LOAD), [*run, *grown, measured]),
        "load_test-stopped": fold(blank(LOAD), [*run, *grown, measured, e.Cancelled(at_s=T0 + 10, by="U2")]),
        "load_test-stopping": fold(blank(LOAD), [*run, e.CancelRequested(at_s=T0 + 11, by="U2")]),
        "load_test-passed": fold(blank(LOAD), [*worked(LOAD), *grown, e.Succeeded(at_s=T0 + 40, outcome=passed)]),
        "deploy-took_over": fold(blank(DEPLOY), [*working(DEPLOY), took_over]),
        "deploy-first": fold(
            blank(DEPLOY),
            [*worked(DEPLOY), e.Succeeded(at_s=T0 + 9, outcome=replace(DEPLOYED, previous=None, ready=1))],
        ),
        "train_model-requeued": fold(
            blank(TRAIN), [*working(TRAIN), e.Requeued(at_s=T0 + 8, reason="The worker is shutting down.", after_s=0)]
        ),
    }


CASES = {
    f"{job.kind}-{state}": fold(blank(job), story(job, state)) for job in ENDS for state in get_args(State)
} | special()


@pytest.mark.parametrize("name", CASES)
def test_card_equals_its_golden_file(name: str) -> None:
    ahead = blank(LOAD if name == "deploy-behind_a_load_test" else DEPLOY)
    rendered = card.render(CASES[name], ahead=ahead if CASES[name].waits_for else None)
    _assert_accepted(rendered)
    text = json.dumps({"text": rendered.text, "blocks": rendered.blocks}, indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_card_text_has_every_text_of_its_blocks(name: str) -> None:
    """A screen reader reads the text and no blocks."""
    rendered = card.render(CASES[name])
    for block in rendered.blocks:
        parts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        assert all(part["text"] in rendered.text for part in parts if part and part["type"] != "button")


def test_golden_folder_has_no_other_files() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)


@pytest.mark.parametrize(
    "hostile", ["<!channel> & <@U1>", "`code` *bold* _it_ ~s~", "x" * 20_000, "\u202eabc 😀\n\x00"]
)
def test_foreign_text_cannot_break_a_card(hostile: str) -> None:
    """Slack accepts the card with such a reason, fact or advice, and mentions no one."""
    events = [
        *working(TRAIN),
        e.StepFinished(at_s=T0 + 9, step="train", fact=hostile),
        e.Failed(at_s=T0 + 12, reason=hostile, advice=hostile),
    ]
    rendered = card.render(fold(blank(TRAIN), events))
    assert "<!channel>" not in str(rendered.blocks)
    _assert_accepted(rendered)


def test_escape_leaves_underscores_within_words() -> None:
    """Names can be copied from a card."""
    assert escape("roc_auc 0.998") == "roc_auc 0.998"
    assert escape("a*b*c") == "a*b*c"
    assert escape("*bold*") != "*bold*"


def _assert_accepted(rendered: Message) -> None:
    check_message(text=rendered.text, blocks=list(rendered.blocks))
