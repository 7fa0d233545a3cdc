"""The rules for requests and approvals, one pure function each.

Intake checks every request and every decision with them. A rule returns the sentence of its refusal, or "".
"""

from collections.abc import Callable
from dataclasses import dataclass

from bot.state import Member
from workers.contract.formatting import show_duration, show_number
from workers.contract.jobs import Job
from workers.contract.record import Record
from workers.contract.settings import SettingsFile


class Refused(Exception):
    """A rule forbids the request. The message is a sentence for the person who is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyQuery:
    """A member's request for a job."""

    by: Member
    job: Job
    settings: SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalQuery:
    """A member's decision about a job. `is_approver`: the member is among the approvers that the request names."""

    by: Member
    record: Record
    is_approver: bool


def outsider(by: Member) -> str:
    """Return why `by` may not use the bot, or "". A deactivated user can still own a schedule."""
    if by.gone:
        return "The user who created this schedule has been deactivated. Ask an active member to create it again."
    if by.foreign:
        return "Seatrial takes no commands from other workspaces."
    if by.guest:
        return "Guests may not give Seatrial commands. Ask a member of this workspace."
    return ""


def _setting_rule(query: PolicyQuery) -> str:
    """Refuse a job if the settings lack its model or place: a retried job may be old."""
    missing = query.job.missing_setting(query.settings)
    return f"The settings no longer have {missing}." if missing else ""


def _rate_rule(query: PolicyQuery) -> str:
    """Refuse a rate above the cap of a place that has no approvals."""
    load, environment = query.job.load, query.job.environment
    if load is None or environment is None:
        return ""
    place = query.settings.place(environment)
    cap_rps = place.max_load_rps
    if cap_rps is None or load.rate_rps <= cap_rps or place.approvals is not None:
        return ""
    return f"Load on {place.name} is capped at {show_number(cap_rps)} rps by {place.key}.max_load."


def _duration_rule(query: PolicyQuery) -> str:
    load, longest_s = query.job.load, query.settings.loadtest.longest_s
    if load is None or load.duration_s <= longest_s:
        return ""
    requested = show_duration(load.duration_s)
    return f"Load may last at most {show_duration(longest_s)} by loadtest.longest. This may last {requested}."


RULES: tuple[Callable[[PolicyQuery], str], ...] = (
    lambda query: outsider(query.by),
    _setting_rule,
    _rate_rule,
    _duration_rule,
)
"""Rules for a request, in their order."""


def _open_request_rule(query: ApprovalQuery) -> str:
    return "" if query.record.approval else f"Job #{query.record.id} needs no approval."


def _four_eyes_rule(query: ApprovalQuery) -> str:
    approval, record = query.record.approval, query.record
    if query.by.id != record.asked.by or (approval and approval.own):
        return ""
    return "You requested this, so another member must approve it. To withdraw the request, click Cancel."


def _approver_rule(query: ApprovalQuery) -> str:
    return "" if query.is_approver else "Only the approvers on the card may decide about this job."


APPROVAL_RULES: tuple[Callable[[ApprovalQuery], str], ...] = (
    _open_request_rule,
    lambda query: outsider(query.by),
    _four_eyes_rule,
    _approver_rule,
)
"""Rules for a decision, in their order."""


def check(query: PolicyQuery) -> None:
    """Raise Refused with the sentence of the first rule that forbids the request."""
    for rule in RULES:
        if why := rule(query):
            raise Refused(why)


def check_approver(query: ApprovalQuery) -> None:
    """Raise Refused with the sentence of the first rule that forbids the decision."""
    for rule in APPROVAL_RULES:
        if why := rule(query):
            raise Refused(why)
