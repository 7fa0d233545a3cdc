"""The rules for requests and for approvals. Pure. Intake checks every request and every decision with them."""

from collections.abc import Mapping, Sequence

from bot.state import Member, Schedule
from workers.contract.formatting import show_duration, show_number
from workers.contract.jobs import Job
from workers.contract.record import Record
from workers.contract.settings import Environment, LoadTarget, Role, SettingsFile

_ROLES: Mapping[Role, str] = {
    "asker": "the person who asked for it",
    "approvers": "the approvers of its environment",
    "admins": "an administrator of the workspace",
    "everyone": "a member",
}


class Refused(Exception):
    """A rule forbids the request. The message is a sentence for the person who is refused."""


def check(job: Job, *, by: Member, settings: SettingsFile) -> None:
    """Raise Refused with the sentence of the first rule that forbids the job."""
    check_member(by)
    if missing := job.missing_setting(settings):  # a retried job may be old
        raise Refused(f"The settings no longer have {missing}.")
    if job.load is None:
        return
    if job.environment is not None:
        _check_rate(job.load.rate_rps, settings.place(job.environment))
    duration_s, longest_s = job.load.duration_s, settings.loadtest.longest_s
    if duration_s > longest_s:
        longest = f"Load may last at most {show_duration(longest_s)} by loadtest.longest."
        raise Refused(f"{longest} This may last {show_duration(duration_s)}.")


def check_approver(record: Record, *, by: Member, is_approver: bool) -> None:
    """Raise Refused with the sentence of the first rule that forbids the decision.

    `is_approver`: the member is among the approvers that the request names.
    """
    if record.approval is None:
        raise Refused(f"Job #{record.id} needs no approval.")
    check_member(by)
    if by.id == record.asked.by and not record.approval.own:
        raise Refused("You requested this, so another member must approve it. To withdraw the request, click Cancel.")
    if not is_approver:
        raise Refused("Only the approvers on the card may decide about this job.")


def check_cancel(record: Record, *, by: Member, is_approver: bool, settings: SettingsFile) -> None:
    """Raise Refused unless `by` may cancel the job. A load test may be stopped by everybody.

    `is_approver`: the member is among the approvers of the job's environment.
    """
    check_member(by)
    if not record.job.load:
        _check_role(settings.rights.cancel, f"cancel job #{record.id}", record.asked.by, by, is_approver=is_approver)


def check_schedule(schedule: Schedule, *, by: Member, is_approver: bool, settings: SettingsFile) -> None:
    """Raise Refused unless `by` may pause, resume or remove the schedule. `is_approver` is as in check_cancel."""
    check_member(by)
    _check_role(settings.rights.schedules, f"change schedule {schedule.id}", schedule.by, by, is_approver=is_approver)


def _check_role(roles: Sequence[Role], what: str, asker: str, by: Member, *, is_approver: bool) -> None:
    holds = {"asker": by.id == asker, "approvers": is_approver, "admins": by.admin, "everyone": True}
    if not any(holds[role] for role in roles):
        allowed = " or ".join(_ROLES[role] for role in roles)
        raise Refused(f"You may not {what}: only {allowed} may, by [rights] in seatrial.toml.")


def check_member(by: Member) -> None:
    """Raise Refused if `by` may not use the bot. A deactivated user can still own a schedule."""
    if by.gone:
        raise Refused(
            "The user who created this schedule has been deactivated. Ask an active member to create it again."
        )
    if by.foreign:
        raise Refused("Seatrial takes no commands from other workspaces.")
    if by.guest:
        raise Refused("Guests may not give Seatrial commands. Ask a member of this workspace.")


def _check_rate(rate_rps: float, place: Environment | LoadTarget) -> None:
    """Refuse a rate above the cap of a place that has no approvals."""
    cap_rps = place.max_load_rps
    if cap_rps is not None and rate_rps > cap_rps and place.approvals is None:
        raise Refused(f"Load on {place.name} is capped at {show_number(cap_rps)} rps by {place.key}.max_load.")
