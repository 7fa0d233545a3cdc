"""Who may do what, rule by rule, with the sentence that each refusal says."""

import pytest

from bot.chat import Member
from bot.policy import Refused, Request, check, check_approver
from workers.contract.events import ApprovalRequested
from workers.contract.jobs import Asked, Deploy, Job, LoadTest, Slo, TrainModel
from workers.contract.record import Record, fold
from workers.contract.settings import Approvals, Environment, Model, SettingsFile

ADA = Member(id="U1", name="Ada", guest=False, foreign=False)
GRACE = Member(id="U2", name="Grace", guest=False, foreign=False)
GUEST = Member(id="U3", name="Mallory", guest=True, foreign=False)
STRANGER = Member(id="U4", name="Sybil", guest=False, foreign=True)

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
)


def load(environment: str, rate_rps: float) -> LoadTest:
    """A load test."""
    return LoadTest(model="iris", environment=environment, rate_rps=rate_rps, duration_s=1, slo=Slo())


@pytest.mark.parametrize(
    ("by", "job", "why"),
    [
        (GUEST, TrainModel(model="iris"), "Guests may not"),
        (STRANGER, TrainModel(model="iris"), "other workspaces"),
        (ADA, TrainModel(model="gone"), "no model gone"),
        (ADA, Deploy(model="iris", version=1, environment="gone", digest="d"), "no environment gone"),
        (ADA, load("staging", 101), "capped at 100rps"),
    ],
)
def test_a_rule_refuses_with_its_sentence(by: Member, job: Job, why: str) -> None:
    """Each names what is in the way."""
    with pytest.raises(Refused, match=why):
        check(Request(by=by, job=job, settings=SETTINGS))


@pytest.mark.parametrize("job", [TrainModel(model="iris"), load("staging", 100), load("production", 101)])
def test_what_no_rule_forbids_is_allowed(job: Job) -> None:
    """At the cap, and above it where approval can be had."""
    check(Request(by=ADA, job=job, settings=SETTINGS))


def test_above_the_cap_approval_is_needed_where_it_can_be_had() -> None:
    """Not at the cap, and not for what changes nothing."""
    assert SETTINGS.approvals_for(load("production", 101)) is not None
    assert SETTINGS.approvals_for(load("production", 100)) is None
    assert SETTINGS.approvals_for(TrainModel(model="iris")) is None


class Leads:
    """A workspace whose @ml-leads is Grace alone."""

    def is_among(self, user: str, names: tuple[str, ...]) -> bool:
        """As People."""
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
        (ADA, waiting(own=True, approvers=("@ml-leads",)), "Only @ml-leads"),
    ],
)
def test_who_may_not_approve_hears_why(by: Member, record: Record, why: str) -> None:
    """Asker, guest, stranger, and who is not in the group."""
    with pytest.raises(Refused, match=why):
        check_approver(record, by, Leads())  # type: ignore[arg-type]  # all that is asked of People


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
    check_approver(record, by, Leads())  # type: ignore[arg-type]  # all that is asked of People
