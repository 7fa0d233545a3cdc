"""Who may do what: small rules in one table, each with the sentence that its refusal says. Pure but for `Directory`."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.chat import Member
from bot.directory import Directory
from workers.contract.formatting import show_duration, show_number
from workers.contract.jobs import Job
from workers.contract.record import Record
from workers.contract.settings import SettingsFile


class Refused(Exception):
    """A rule forbids it; the message is a whole sentence for the person who is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyQuery:
    """What a rule looks at: who wants which job."""

    by: Member
    job: Job
    settings: SettingsFile


def _known_member(request: PolicyQuery) -> str:
    return outsider(request.by)


def _known_place(request: PolicyQuery) -> str:
    return unknown_place(request.job, request.settings)


def _under_the_cap(request: PolicyQuery) -> str:
    load, environment = request.job.load, request.job.environment
    if load is None or environment is None:
        return ""
    place = request.settings.place(environment)
    cap_rps = place.max_load_rps
    if cap_rps is None or load.rate_rps <= cap_rps or place.approvals is not None:
        return ""
    return f"Load on {place.name} is capped at {show_number(cap_rps)} rps by {place.key}.max_load."


def _short_enough(request: PolicyQuery) -> str:
    load = request.job.load
    if load is None:
        return ""
    longest_s = request.settings.loadtest.longest_s
    if load.duration_s <= longest_s:
        return ""
    asked = show_duration(load.duration_s)
    return f"Load lasts at most {show_duration(longest_s)} by loadtest.longest, and this may last {asked}."


RULES: tuple[Callable[[PolicyQuery], str], ...] = (_known_member, _known_place, _under_the_cap, _short_enough)
"""In their order; each answers "" or why not."""


def outsider(by: Member) -> str:
    """Why someone may do nothing at all, or "": guests and people of other workspaces are not members of the team.

    Who is gone asks for something only through a schedule.
    """
    if by.gone:
        return "The account of whoever added this was deactivated; a member has to add it anew."
    if by.foreign:
        return "Seatrial takes no commands from other workspaces."
    if by.guest:
        return "Guests may not give Seatrial commands; ask a member of this workspace."
    return ""


def unknown_place(job: Job, settings: SettingsFile) -> str:
    """Why a job cannot be done at all by these settings, or "": an old job's model or place may be gone."""
    missing = job.missing_setting(settings)
    return f"The settings have no {missing} any more." if missing else ""


def check(request: PolicyQuery) -> None:
    """Raise Refused with the first rule's sentence that forbids the request."""
    for rule in RULES:
        if why := rule(request):
            raise Refused(why)


def check_approver(record: Record, by: Member, directory: Directory) -> None:
    """Raise Refused where `by` may not decide about `record`."""
    approval = record.approval
    if approval is None:
        raise Refused(f"Job #{record.id} asks for no approval.")
    if why := outsider(by):
        raise Refused(why)
    if by.id == record.asked.by and not approval.own:
        raise Refused("You asked for this, so somebody else must approve it; Cancel takes it back.")
    if not directory.is_among(by.id, approval.approvers):
        raise Refused("Only those whom its card names may decide about this.")
