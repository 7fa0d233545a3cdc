"""Meanings as commands again, in their one plain spelling: what is suggested, and what a schedule keeps."""

from typing import assert_never

from bot.commands.command import (
    AddSchedule,
    CancelJob,
    ChangeSchedule,
    CompareLoadTests,
    CompareVersions,
    LastLoadTest,
    ListJobs,
    ListModels,
    ListSchedules,
    Request,
    RetryJob,
    ShowDeployments,
    ShowHelp,
    ShowHistory,
    ShowJob,
    ShowModel,
    ShowStatus,
    Submit,
)
from workers.contract.formatting import digits
from workers.contract.jobs import Deploy, FindCapacity, Job, LoadTest, Scale, TrainModel
from workers.contract.load import Shape
from workers.contract.settings import SettingsFile


def typed(meaning: Request, settings: SettingsFile) -> str:
    """The shortest command that means `meaning`: reading it gives `meaning` again."""
    match meaning:
        case Submit():
            return command_for(meaning.job, settings) + (" dry-run" if meaning.dry_run else "")
        case ShowModel() | CompareVersions() | ListModels():
            return _about_models(meaning, settings)
        case ShowDeployments():
            return "/deploy status"
        case ShowHistory():
            return _line("/deploy history", meaning.environment)
        case LastLoadTest():
            return _line("/loadtest last", meaning.environment)
        case CompareLoadTests():
            return f"/loadtest compare {meaning.first} {meaning.second}"
        case ListJobs() | ShowJob() | CancelJob() | RetryJob():
            return _about_jobs(meaning)
        case AddSchedule():
            zone = "" if meaning.time_zone == "UTC" else meaning.time_zone
            return _line(f'/schedule add "{meaning.cron}"', zone, meaning.command.removeprefix("/"))
        case ListSchedules():
            return "/schedule list"
        case ChangeSchedule():
            return f"/schedule {meaning.change} {meaning.schedule_id}"
        case ShowStatus():
            return "/seatrial status"
        case ShowHelp():
            return f"{meaning.verb or '/seatrial'} help"
        case _:
            assert_never(meaning)


def command_for(job: Job, settings: SettingsFile, *, model_always: bool = False) -> str:
    """The command that asks for `job`; it names the model where there are several, or with `model_always`."""
    model = job.model if model_always or len(settings.models) > 1 else ""
    match job:
        case TrainModel():
            return f"/model train {job.model}"
        case Deploy():
            replicas = f"replicas {job.replicas}" if job.replicas else ""
            return _line(f"/deploy v{job.version}", model, f"to {job.environment}", replicas)
        case Scale():
            return _line(f"/scale {job.replicas}", model, f"on {job.environment}")
        case LoadTest():
            return _line("/loadtest", _load(job), model, f"on {job.environment}", *_terms(job, settings))
        case FindCapacity():
            rates = f"from {spell_rate(job.lowest_rps)} to {spell_rate(job.highest_rps)}"
            held = "hold replicas" if job.hold_replicas else ""
            probe = f"for {spell_duration(job.probe_s)}"
            slo = _slo(job, settings)
            return _line("/loadtest find", rates, probe, held, model, f"on {job.environment}", slo)
        case _:
            raise TypeError(f"no command for {job.kind}")


def _about_models(meaning: ShowModel | CompareVersions | ListModels, settings: SettingsFile) -> str:
    several = len(settings.models) > 1
    match meaning:
        case ListModels():
            return "/model list"
        case ShowModel():
            return _line("/model show", meaning.model, f"v{meaning.version}" if meaning.version else "")
        case CompareVersions():
            versions = f"/model compare v{meaning.first} v{meaning.second}"
            return _line(versions, meaning.model if several else "")


def _about_jobs(meaning: ListJobs | ShowJob | CancelJob | RetryJob) -> str:
    match meaning:
        case ListJobs():
            return "/jobs" if meaning.which == "all" else f"/jobs {meaning.which}"
        case ShowJob():
            return f"/jobs show {meaning.job_id}"
        case CancelJob():
            return f"/jobs cancel {meaning.job_id}" if meaning.job_id else "/loadtest stop"
        case RetryJob():
            return f"/jobs retry {meaning.job_id}"


def _line(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def spell_rate(rps: float) -> str:
    """A rate as it is read again."""
    return f"{digits(rps)}rps"


def spell_duration(seconds: float) -> str:
    """A time as it is read again."""
    if seconds != int(seconds):
        return f"{digits(seconds)}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count)


def _load(job: LoadTest) -> str:
    poisson = "poisson" if job.spacing == "poisson" else ""
    return _line(_shape(job.shape), poisson, f"for {spell_duration(job.duration_s)}")


def _shape(shape: Shape) -> str:
    if shape.kind == "constant":
        return spell_rate(shape.highest_rps)
    kinds = {"ramp": "", "steps": f"steps {shape.step_count}", "spike": "spike"}
    return _line(f"{digits(shape.lowest_rps)}..{spell_rate(shape.highest_rps)}", kinds[shape.kind])


def _terms(job: LoadTest, settings: SettingsFile) -> tuple[str, ...]:
    ramp = f"ramp {spell_duration(job.ramp_s)}" if job.ramp_s else ""
    abort = "" if job.abort == settings.loadtest.abort else f"abort {job.abort or 'never'}"
    return ramp, _slo(job, settings), abort


def _slo(job: LoadTest | FindCapacity, settings: SettingsFile) -> str:
    return "" if job.slo == settings.loadtest.slo else f"slo {job.slo}"
