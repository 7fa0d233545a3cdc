"""Who may do what, rule by rule, with the sentence that each refusal says."""

from dataclasses import replace

import pytest

from bot.chat import Member
from bot.policy import PolicyQuery, Refused, check, check_approver
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
    models={
        "iris": Model(name="iris", type="logistic_reg", label="species", query="SELECT 1", sample=({"a": 1.0},)),
    },
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
    """A load test that rises to a rate."""
    return LoadTest(
        model="" if environment in TARGETS else "iris",
        environment=environment,
        shape=Shape(lowest_rps=1.0, highest_rps=rate_rps),
        duration_s=duration_s,
        slo=Slo(),
    )


def search(environment: str, highest_rps: float, *, probe_s: float = 20.0) -> FindCapacity:
    """A search for an endpoint's capacity."""
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
        (ADA, TrainModel(model="gone"), "no model gone"),
        (ADA, Deploy(model="iris", version=1, environment="gone", digest="d"), "no environment gone"),
        (ADA, load("lost", 1), "no target lost"),
        (ADA, replace(load("staging", 1), environment="docs"), "no environment docs"),
        (ADA, load("staging", 101), "capped at 100 rps by environments.staging.max_load"),
        (ADA, load("docs", 101), "capped at 100 rps by targets.docs.max_load"),
        (ADA, search("staging", 101), "capped at 100 rps"),
        (ADA, load("staging", 1, duration_s=3601), "at most 1 h by loadtest.longest, and this may last 1 h 1 s"),
        (ADA, search("staging", 100, probe_s=301), "at most 1 h"),
    ],
)
def test_a_rule_refuses_with_its_sentence(by: Member, job: Job, why: str) -> None:
    """Each names what is in the way."""
    with pytest.raises(Refused, match=why):
        check(PolicyQuery(by=by, job=job, settings=SETTINGS))


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
def test_what_no_rule_forbids_is_allowed(job: Job) -> None:
    """At the cap, and above it where approval can be had."""
    check(PolicyQuery(by=ADA, job=job, settings=SETTINGS))


def test_above_the_cap_approval_is_needed_where_it_can_be_had() -> None:
    """Not at the cap, and not for what changes nothing."""
    for job in (load("production", 101), load("shop", 101), search("production", 101)):
        assert job.approvals_needed(SETTINGS) is not None
    assert load("production", 100).approvals_needed(SETTINGS) is None
    assert TrainModel(model="iris").approvals_needed(SETTINGS) is None


class Leads:
    """A workspace whose @ml-leads is Grace alone."""

    def is_among(self, user: str, names: tuple[str, ...]) -> bool:
        """As Directory."""
        return not names or user in names or ("@ml-leads" in names and user == GRACE.id)


def waiting(*, own: bool = False, approvers: tuple[str, ...] = ()) -> Record:
    """Ada's deployment, waiting."""
    asked = Asked(by=ADA.id, by_name="Ada", where="C1", at_s=0)
    job = Deploy(model="iris", version=1, environment="production", digest="d")
    request = ApprovalRequested(at_s=0, count=1, approvers=approvers, own=own, expires_at_s=60)
    return fold(Record(id="1", job=job, asked=asked), [request])


@pytest.mark.parametrize(
    ("by", "record", "why"),
    [
        (ADA, waiting(), "somebody else"),
        (GUEST, waiting(), "Guests may not"),
        (STRANGER, waiting(own=True), "other workspaces"),
        (ADA, waiting(own=True, approvers=("@ml-leads",)), "Only those whom its card names"),
    ],
)
def test_who_may_not_approve_hears_why(by: Member, record: Record, why: str) -> None:
    """Asker, guest, stranger, and who is not in the group."""
    with pytest.raises(Refused, match=why):
        check_approver(record, by, Leads())  # type: ignore[arg-type]  # all that is asked of Directory


@pytest.mark.parametrize(
    ("by", "record"),
    [
        (GRACE, waiting()),
        (GRACE, waiting(approvers=("@ml-leads",))),
        (ADA, waiting(own=True)),
        (ADA, waiting(own=True)),
    ],
)
def test_who_may_approve_may(by: Member, record: Record) -> None:
    """Any other member, a member of the group, the asker where the policy says so."""
    check_approver(record, by, Leads())  # type: ignore[arg-type]  # all that is asked of Directory
