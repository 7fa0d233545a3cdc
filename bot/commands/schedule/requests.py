"""Requests about schedules: add, list, pause, resume, run and remove."""

from dataclasses import dataclass
from typing import Literal

from bot.blocks import Message
from bot.commands.command import Desk, Submit
from bot.commands.line import join_words
from bot.views import replies
from bot.views import schedules as views
from workers.contract.settings import SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class AddSchedule:
    """`/schedule add "CRON" [TIMEZONE] COMMAND…`. `cron` has five fields, as `cron.for_apscheduler` takes them."""

    cron: str
    time_zone: str
    submit: Submit

    def answer(self, desk: Desk) -> Message | None:
        """Store the schedule and announce it. The stored command names its model: the settings may get another."""
        desk.check(job=self.submit.job)
        approvals = self.submit.job.approvals_needed(desk.settings)
        command = self.submit.full_command(desk.settings)
        added = desk.schedules.add(cron=self.cron, time_zone=self.time_zone, command=command)
        message = views.added(added, desk.schedules.next_times(schedule=added), approvals)
        return desk.schedules.announce(schedule=added, message=message)

    def spelled(self, settings: SettingsFile) -> str:
        zone = "" if self.time_zone == "UTC" else self.time_zone
        return join_words(f'/schedule add "{self.cron}"', zone, self.submit.full_command(settings).removeprefix("/"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSchedule:
    """`/schedule pause|resume|run|remove ID`."""

    change: Literal["pause", "resume", "run", "remove"]
    schedule_id: str

    def answer(self, desk: Desk) -> Message | None:
        schedule = next((item for item in desk.schedules.all() if item.id == self.schedule_id), None)
        if schedule is None:
            return replies.refused(f"There is no schedule {self.schedule_id}. /schedule list shows all schedules.")
        match self.change:
            case "pause":
                desk.schedules.pause(schedule=schedule)
                return replies.plain(f"Schedule {schedule.id} is paused. `/schedule resume {schedule.id}` resumes it.")
            case "resume":
                resumed = desk.schedules.resume(schedule=schedule)
                return views.resumed(resumed, desk.schedules.next_times(schedule=resumed))
            case "run":
                return desk.schedules.run(schedule=schedule)
            case "remove":
                desk.schedules.remove(schedule=schedule)
                return views.removed(schedule)

    def spelled(self, settings: SettingsFile) -> str:
        return f"/schedule {self.change} {self.schedule_id}"


def list_schedules(desk: Desk) -> Message:
    """Return all schedules with their next firings."""
    return views.listed([(item, desk.schedules.next_times(schedule=item)) for item in desk.schedules.all()])
