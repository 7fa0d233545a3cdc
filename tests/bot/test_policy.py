"""Rules for requests and for approvals."""

from dataclasses import replace

import pytest

from bot.policy import Refused, check, check_approver
from bot.state import Member
from workers.contract.events import ApprovalRequested
from workers.contract.jobs import Asked, Deploy, FindCapacity, Job, LoadTest, TrainModel
from workers.contract.load import Shape, Slo
from workers.contract.record import Record, fold
from workers.contract.settings import Approvals, Environment, LoadTarget, Model, SettingsFile

ADA = Member(id="U1", name="Ada", guest=False, foreign=False)
GRACE = Member(id="U2", name="Grace", guest=False, foreign=False)
GUEST = Member(id="U3", name="Mallory", guest=True, foreign=False)
STRANGER = Member(id="U4", name="Sybil", guest=False, foreign=True)

DOCS = {"name": "docs", "url": "https://docs.example.com/", "owner": "@search", "max_load": "100rps"}
TARGETS = ("docs", "shop", "lost")
SETTINGS = SettingsFile(
    models={"iris": Model(name="iris", type="logistic_reg", label="species", query="SELECT 1", sample=({"a": 1.0},))},
    environments={
        "staging": Environment.model_validate({"name": "staging", "max_load": "100rps"}),
        "production": Environment.model_validate(
            {"name": "production", "max_load": "100rps", "approvals": Approvals(count=1)}
        ),
    },
    targets={
        "docs": LoadTarget.model_validate(DOCS),
        "shop": LoadTarget.model_validate(DOCS | {"approvals": Approvals()}),
    },
)


def load(environment: str, rate_rps: float, *, duration_s: float = 1.0) -> LoadTest:
    """Return a load test that rises to a rate."""
    return LoadTest(
        model="" if environment in TARGETS else "iris",
        environment=environment,
        shape=Shape(lowest_rps=1.0, highest_rps=rate_rps),
        duration_s=duration_s,
        slo=Slo(),
    )


def search(environment: str, highest_rps: float, *, probe_s: float = 20.0) -> FindCapacity:
    """Return a capacity search."""
    return FindCapacity(
        model="" if environment in TARGETS else "iris",
        environment=environment,
        lowest_rps=1.0,
        highest_rps=highest_rps,
        probe_s=probe_s,
        slo=Slo(errors_percent=1.0),
    )


@pytest.mark.parametrize(
    ("by", "job", "why"),
    [
        (GUEST, TrainModel(model="iris"), "Guests may not"),
        (STRANGER, TrainModel(model="iris"), "other workspaces"),
        (replace(ADA, gone=True), TrainModel(model="iris"), "has been deactivated"),
        (ADA, TrainModel(model="gone"), "no longer have model gone"),
        (ADA, Deploy(model="iris", version=1, environment="gone", digest="d"), "no longer have environment gone"),
        (ADA, load("lost", 1), "no longer have target lost"),
        (ADA, replace(load("staging", 1), environment="docs"), "no longer have environment docs"),
        (ADA, load("staging", 101), "capped at 100 rps by environments.staging.max_load"),
        (ADA, load("docs", 101), "capped at 100 rps by targets.docs.max_load"),
        (ADA, search("staging", 101), "capped at 100 rps"),
        (ADA, load("staging", 1, duration_s=3601), r"at most 1 h by loadtest.longest\. This may last 1 h 1 s"),
        (ADA, search("staging", 100, probe_s=301), "at most 1 h"),
    ],
)
def test_request_is_refused_with_the_rule(by: Member, job: Job, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check(job, by=by, settings=SETTINGS)


@pytest.mark.parametrize(
    "job",
    [
        TrainModel(model="iris"),
        load("staging", 100, duration_s=3600),
        load("production", 101),
        load("docs", 100),
        load("shop", 101),
        search("staging", 100, probe_s=300),
    ],
)
def test_request_is_allowed_at_the_cap_and_above_it_with_approvals(job: Job) -> None:
    check(job, by=ADA, settings=SETTINGS)


def test_load_needs_approval_only_above_the_cap() -> None:
    for job in (load("production", 101), load("shop", 101), search("production", 101)):
        assert job.approvals_needed(SETTINGS) is not None
    assert load("production", 100).approvals_needed(SETTINGS) is None
    assert TrainModel(model="iris").approvals_needed(SETTINGS) is None


def awaiting_approval(*, own: bool = False) -> Record:
    """Return the record of Ada's deployment, which waits for approval."""
    asked = Asked(by=ADA.id, by_name="Ada", where="C1", at_s=0)
    job = Deploy(model="iris", version=1, environment="production", digest="d")
    request = ApprovalRequested(at_s=0, count=1, approvers=("@ml-leads",), own=own, expires_at_s=60)
    return fold(Record(id="1", job=job, asked=asked), [request])


@pytest.mark.parametrize(
    ("by", "record", "is_approver", "why"),
    [
        (ADA, awaiting_approval(), True, "another member"),
        (GUEST, awaiting_approval(), True, "Guests may not"),
        (STRANGER, awaiting_approval(own=True), True, "other workspaces"),
        (ADA, awaiting_approval(own=True), False, "Only the approvers on the card"),
        (GRACE, replace(awaiting_approval(), approval=None), True, "needs no approval"),
    ],
)
def test_decision_is_refused_with_the_rule(by: Member, record: Record, is_approver: bool, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check_approver(record, by=by, is_approver=is_approver)


@pytest.mark.parametrize(("by", "record"), [(GRACE, awaiting_approval()), (ADA, awaiting_approval(own=True))])
def test_decision_is_allowed_to_approvers_and_to_the_requester_by_setting(by: Member, record: Record) -> None:
    check_approver(record, by=by, is_approver=True)
