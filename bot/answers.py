"""What becomes of a command that was understood: a job goes to intake, a question is answered, a wish carried out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from bot.blocks import Message
from bot.cards.card import render
from bot.chat import Chat, ChatError, ChatRefused
from bot.commands import COMMANDS, read_command
from bot.commands import command as c
from bot.commands.help import manual
from bot.intake import Intake
from bot.policy import Refused, outsider
from bot.schedules import Schedules, next_times
from bot.state import Invocation, Schedule
from bot.store import Store
from bot.views import replies
from bot.views import schedules as schedule_views
from bot.views.load_comparison import load_comparison
from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Deploy, Deployed, FindCapacity, Job, LoadTest, Tested
from workers.contract.queue import Catalogue, Queue
from workers.contract.record import Record
from workers.contract.settings import SettingsFile

LOOK_BACK = 200
"""Questions about the past look at this many of the newest jobs."""
SHOWN = 15
RUN_NOW_S = 10.0
"""Who runs a schedule within this time after somebody else did, or twice, means the same run."""


class CatalogueLookup:
    """What parsers may look up (`commands.command.Lookup`), read from Redis."""

    def __init__(self, *, settings: SettingsFile, catalogue: Catalogue, queue: Queue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._queue = queue

    @property
    def settings(self) -> SettingsFile:
        """See Lookup."""
        return self._settings

    def versions(self, model: str) -> Sequence[Version]:
        """See Lookup."""
        return self._catalogue.versions(model)

    def served(self) -> Sequence[Served]:
        """See Lookup."""
        return self._catalogue.served()

    def deployed_before(self, *, environment: str, model: str) -> int | None:
        """See Lookup: what ran before the version that runs now."""
        now = next((item for item in self.served() if (item.environment, item.model) == (environment, model)), None)
        if now is None:
            return None
        for record in self._queue.recent(LOOK_BACK):
            job, outcome = record.job, record.outcome
            if not (isinstance(job, Deploy) and isinstance(outcome, Deployed)):
                continue
            here = (job.environment, job.model) == (environment, model)
            if here and outcome.version == now.version and outcome.previous not in (None, now.version):
                return outcome.previous
        return None


class Answers:
    """Answers for the person who asked. Raises Refused, ChatError, and QueueUnavailable while Redis is away."""

    def __init__(
        self, *, facts: CatalogueLookup, intake: Intake, queue: Queue, store: Store, schedules: Schedules, chat: Chat
    ) -> None:
        self._facts = facts
        self._intake = intake
        self._queue = queue
        self._store = store
        self._schedules = schedules
        self._chat = chat

    def answer(self, meaning: c.Request, origin: Invocation) -> Message | None:
        """Do what was meant; the answer, or None where a card says it."""
        if why := outsider(origin.by):
            raise Refused(why)
        match meaning:
            case c.Submit():
                return self._intake.ask(meaning.job, origin, dry_run=meaning.dry_run)
            case c.ShowHelp():
                wanted = [COMMANDS[meaning.verb]] if meaning.verb else list(COMMANDS.values())
                return manual(wanted)
            case c.ListModels() | c.ShowModel() | c.CompareVersions() | c.ShowDeployments() | c.ShowStatus():
                return self._tell_of_what_there_is(meaning)
            case c.ShowHistory() | c.LastLoadTest() | c.CompareLoadTests() | c.ListJobs() | c.ShowJob():
                return self._tell_of_jobs(meaning, origin)
            case c.CancelJob() | c.RetryJob():
                return self._change_job(meaning, origin)
            case c.AddSchedule() | c.ListSchedules() | c.ChangeSchedule():
                return self._schedule(meaning, origin)
            case _:
                assert_never(meaning)

    def _tell_of_what_there_is(
        self, meaning: c.ListModels | c.ShowModel | c.CompareVersions | c.ShowDeployments | c.ShowStatus
    ) -> Message:
        facts = self._facts
        match meaning:
            case c.ListModels():
                return replies.models(
                    facts.settings, {name: list(facts.versions(name)) for name in facts.settings.models}
                )
            case c.ShowModel():
                found = [v for v in facts.versions(meaning.model) if meaning.version in (None, v.version)]
                return replies.model(meaning.model, found, facts.served())
            case c.CompareVersions():
                by_number = {version.version: version for version in facts.versions(meaning.model)}
                return replies.comparison(by_number[meaning.first], by_number[meaning.second])
            case c.ShowDeployments():
                return replies.deployments(facts.served(), facts.settings)
            case c.ShowStatus():
                recent = self._queue.recent(LOOK_BACK)
                running = sum(record.state == "running" for record in recent)
                waiting = sum(not record.final and record.state != "running" for record in recent)
                return replies.status(workers=self._queue.workers(), running=running, waiting=waiting)

    def _tell_of_jobs(
        self, meaning: c.ShowHistory | c.LastLoadTest | c.CompareLoadTests | c.ListJobs | c.ShowJob, origin: Invocation
    ) -> Message:
        if isinstance(meaning, c.ShowJob):
            return render(self._job(meaning.job_id))
        if isinstance(meaning, c.CompareLoadTests):
            first, second = self._job(meaning.first), self._job(meaning.second)
            return load_comparison(first, second, _report(first), _report(second))
        recent = self._queue.recent(LOOK_BACK)
        match meaning:
            case c.ShowHistory():
                found = [r for r in recent if isinstance(r.job, Deploy) and _on(r.job, meaning.environment)]
                return replies.jobs(found[:SHOWN], "Nothing was deployed there yet.")
            case c.LastLoadTest():
                tests = [r for r in recent if _is_load(r.job) and r.final and _on(r.job, meaning.environment)]
                return render(tests[0]) if tests else replies.plain("There was no load test there yet.")
            case c.ListJobs(which="running"):
                return replies.jobs([r for r in recent if not r.final][:SHOWN], "No job is running or waiting.")
            case c.ListJobs(which="mine"):
                return replies.jobs(
                    [r for r in recent if r.asked.by == origin.by.id][:SHOWN], "You asked for no job yet."
                )
            case c.ListJobs():
                return replies.jobs(recent[:SHOWN], "There was no job yet.")

    def _change_job(self, meaning: c.CancelJob | c.RetryJob, origin: Invocation) -> Message | None:
        if isinstance(meaning, c.RetryJob):
            return self._intake.retry(self._job(meaning.job_id), origin)
        if meaning.job_id is not None:
            return self._intake.cancel(self._job(meaning.job_id), origin.by)
        tests = [r for r in self._queue.recent(LOOK_BACK) if _is_load(r.job) and not r.final]
        if len(tests) != 1:
            listed = " or ".join(f"/loadtest stop {record.id}" for record in tests)
            raise Refused(f"Which load test? Type {listed}." if tests else "No load test is running.")
        return self._intake.cancel(tests[0], origin.by)

    def _schedule(
        self, meaning: c.AddSchedule | c.ListSchedules | c.ChangeSchedule, origin: Invocation
    ) -> Message | None:
        now = origin.at_s
        match meaning:
            case c.AddSchedule():
                scheduled = read_command(meaning.command, self._facts)
                assert isinstance(scheduled, c.Submit), "a schedule is of a command that starts a job"
                approvals = self._intake.approvals_for(scheduled.job, origin.by)
                added = self._schedules.add(
                    cron=meaning.cron,
                    time_zone=meaning.time_zone,
                    command=meaning.command,
                    channel=origin.channel,
                    by=origin.by.id,
                    by_name=origin.by.name,
                    key=origin.key,
                )
                return self._announce(added, schedule_views.added(added, next_times(added, after_s=now), approvals))
            case c.ListSchedules():
                found = self._schedules.all()
                return schedule_views.listed([(item, next_times(item, after_s=now)) for item in found])
            case c.ChangeSchedule():
                return self._change_schedule(meaning, self._known_schedule(meaning.schedule_id), origin)

    def _announce(self, added: Schedule, message: Message) -> Message | None:
        """Tell the channel; where Slack is slow, its author at least. A channel that takes no card gets no schedule."""
        try:
            self._chat.post(added.channel, message)
        except ChatRefused as error:
            self._schedules.remove(added)
            return replies.no_card(added.channel, error.error)
        except ChatError:
            return message
        return None

    def _change_schedule(self, meaning: c.ChangeSchedule, schedule: Schedule, origin: Invocation) -> Message | None:
        match meaning.change:
            case "pause":
                self._schedules.pause(schedule)
                return replies.plain(
                    f"Schedule {schedule.id} is paused. `/schedule resume {schedule.id}` starts it again."
                )
            case "resume":
                resumed = self._schedules.resume(schedule)
                return schedule_views.resumed(resumed, next_times(resumed, after_s=origin.at_s))
            case "remove":
                self._schedules.remove(schedule)
                return schedule_views.removed(schedule)
            case "run":
                return self._run_now(schedule, origin)

    def _run_now(self, schedule: Schedule, origin: Invocation) -> Message | None:
        """Ask for a schedule's job now, once for all who do so within a moment; the card goes where its others go."""
        key = self._store.get_or_set(f"run:{schedule.id}", origin.key, for_s=RUN_NOW_S)
        asked = replace(origin, key=key, channel=schedule.channel, scheduled_by=schedule.id)
        reply = self.answer(read_command(schedule.command, self._facts), asked)
        if reply is None and origin.channel != schedule.channel:
            return replies.plain(f"Schedule {schedule.id} runs now; its card is in <#{schedule.channel}>.")
        return reply

    def _known_schedule(self, schedule_id: str) -> Schedule:
        found = self._schedules.get(schedule_id)
        if found is None:
            there_are = ", ".join(item.id for item in self._schedules.all()) or "none yet"
            raise Refused(f"There is no schedule {schedule_id}; there are: {there_are}.")
        return found

    def _job(self, job_id: str) -> Record:
        record = self._queue.record(job_id)
        if record is None:
            raise Refused(f"There is no job #{job_id}; /jobs lists the newest.")
        return record


def _is_load(job: Job) -> bool:
    return isinstance(job, LoadTest | FindCapacity)


def _on(job: Job, environment: str | None) -> bool:
    return environment is None or getattr(job, "environment", None) == environment


def _report(record: Record) -> Tested:
    """A load test's report. Raises Refused where the job has none."""
    if not isinstance(record.job, LoadTest):
        raise Refused(f"Job #{record.id} is no load test ({record.job.summary}), so there is nothing to compare.")
    if not record.final:
        raise Refused(f"Load test #{record.id} has not ended yet; compare it when it has.")
    if not isinstance(record.outcome, Tested):
        raise Refused(f"Load test #{record.id} has no report to compare: it ended as {record.state}.")
    return record.outcome
