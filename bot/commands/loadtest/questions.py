"""Requests about load tests that exist: show the last one, compare two, stop one."""

from dataclasses import dataclass

from bot.blocks import Message
from bot.cards.card import render
from bot.commands.command import Desk
from bot.commands.line import join_words
from bot.views import replies
from workers.contract.jobs import Tested
from workers.contract.settings import SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class LastLoadTest:
    """`/loadtest last [ENV|TARGET]`."""

    place: str | None

    def answer(self, desk: Desk) -> Message:
        ended = [record for record in desk.recent() if record.job.load and record.final]
        here = [record for record in ended if self.place in (None, record.job.environment)]
        return render(here[0]) if here else replies.plain("There has been no load test yet.")

    def spelled(self, settings: SettingsFile) -> str:
        return join_words("/loadtest last", self.place)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareLoadTests:
    """`/loadtest compare JOB JOB`."""

    first: str
    second: str

    def answer(self, desk: Desk) -> Message:
        reports = []
        for record in (desk.job(job_id=self.first), desk.job(job_id=self.second)):
            if record.job.kind != "load_test":
                return replies.refused(f"Job #{record.id} is not a load test ({record.job.summary}).")
            if not record.final:
                return replies.refused(f"Load test #{record.id} has not ended yet. Compare it when it has.")
            if not isinstance(record.outcome, Tested):
                return replies.refused(f"Load test #{record.id} has no report; it ended as {record.state}.")
            reports.append((record, record.outcome))
        (first, before), (second, after) = reports
        return replies.load_comparison(first, second, before, after)

    def spelled(self, settings: SettingsFile) -> str:
        return f"/loadtest compare {self.first} {self.second}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StopLoadTest:
    """`/loadtest stop [JOB]`; None: the load test that runs."""

    job_id: str | None

    def answer(self, desk: Desk) -> Message | None:
        if self.job_id:
            return desk.cancel(record=desk.job(job_id=self.job_id))
        running = [record for record in desk.recent() if record.job.load and not record.final]
        if len(running) == 1:
            return desk.cancel(record=running[0])
        commands = " or ".join(f"/loadtest stop {record.id}" for record in running)
        return replies.refused(f"Which load test? Type {commands}." if running else "No load test is running.")

    def spelled(self, settings: SettingsFile) -> str:
        return join_words("/loadtest stop", self.job_id)
