"""`/deploy`: deploy a version, list deployments, and roll back."""

import re
from dataclasses import dataclass

from bot.commands.arguments import Arguments, is_version, joined_versions
from bot.commands.cleaning import with_ranges
from bot.commands.command import (
    Command,
    Desk,
    Form,
    Lookup,
    Message,
    Record,
    Request,
    SettingsFile,
    SimpleRequest,
    Submit,
)
from bot.commands.line import join_words
from bot.views import replies
from workers.contract.catalogue import Version
from workers.contract.jobs import Deploy, Deployed

_DEPLOY = Form(
    usage="/deploy vN [MODEL] [to ENV] [replicas MIN..MAX]",
    does="deploys vN to ENV; waits for approval if ENV requires it; rolls back if it does not become ready",
)
_FORMS = {
    "status": Form(usage="/deploy status", does="the version on each environment"),
    "history": Form(usage="/deploy history [ENV]", does="deployments, newest first"),
    "rollback": Form(
        usage="/deploy rollback [to vN] [MODEL] [ENV]", does="deploys the previous version, or vN; keeps the replicas"
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitDeploy(Submit):
    """`/deploy vN [MODEL] [to ENV] [replicas MIN..MAX]`, and `/deploy rollback`."""

    job: Deploy

    def command(self, settings: SettingsFile, *, model: str) -> str:
        replicas = f"replicas {self.job.replicas}" if self.job.replicas else ""
        return join_words(f"/deploy v{self.job.version}", model, f"to {self.job.environment}", replicas)


def _parse(text: str, lookup: Lookup) -> Request:
    line = Arguments("/deploy", with_ranges(joined_versions(text)), _DEPLOY, lookup)
    match line.subcommand(_FORMS):
        case "status":
            line.end()
            return SimpleRequest("/deploy status", _list_deployments)
        case "history":
            environment = line.take_environment()
            line.end()
            return SimpleRequest(
                join_words("/deploy history", environment), lambda desk: _list_history(desk, environment)
            )
        case "rollback":
            return _roll_back(line)
    return _deploy(line)


def _list_deployments(desk: Desk) -> Message:
    return replies.deployments(desk.served(), desk.settings)


def _list_history(desk: Desk, environment: str | None) -> Message:
    deploys = [record for record in desk.recent() if record.job.kind == "deploy"]
    here = [record for record in deploys if environment in (None, record.job.environment)]
    return replies.jobs(here, "There has been no deployment yet.")


def _deploy(line: Arguments) -> SubmitDeploy:
    dry_run = line.dry_run()
    replicas = line.take_replicas()
    version = line.take(is_version, after=("to", "version"))
    environment = line.take_environment()
    model = line.take_model()
    stray = line.next_left()
    if version is None and stray and (number := re.fullmatch(r"#?([0-9]{1,9})", stray.text)):
        problem = f"{stray.quoted} is not a version; a version looks like v3."
        raise line.mistake(problem, at=stray.at, instead=f"v{number[1]}")
    line.end(_FORMS)
    model = model or line.only_model()
    found = line.published(model, version)
    environment = environment or line.only_environment()
    job = Deploy(model=model, version=found.version, environment=environment, digest=found.digest, replicas=replicas)
    return SubmitDeploy(job=job, dry_run=dry_run)


def _roll_back(line: Arguments) -> SubmitDeploy:
    dry_run = line.dry_run()
    word = line.take(is_version, after=("to", "version"))
    environment = line.take_environment()
    model = line.take_model()
    line.end()
    model = model or line.only_model()
    environment = environment or line.only_environment()
    found = line.published(model, word) if word else _previous_version(line, model=model, environment=environment)
    job = Deploy(model=model, version=found.version, environment=environment, digest=found.digest)
    return SubmitDeploy(job=job, dry_run=dry_run)


def _previous_version(line: Arguments, *, model: str, environment: str) -> Version:
    """Return the version that ran before the one that an endpoint serves now. Raises UsageError."""
    endpoint = (environment, model)
    live = next((item.version for item in line.lookup.served() if (item.environment, item.model) == endpoint), None)
    here = [record for record in line.lookup.recent() if (record.job.environment, record.job.model) == endpoint]
    deployed = [record.outcome for record in here if isinstance(record.outcome, Deployed)]
    number = next((outcome.replaced for outcome in deployed if outcome.version == live and outcome.replaced), None)
    if number is None:
        problem = f"{model} has no earlier version to roll back to on {environment}."
        raise line.not_possible(problem)
    found = next((item for item in line.lookup.versions(model) if item.version == number), None)
    if found is None:
        problem = f"{model} v{number}, which ran on {environment} before, is no longer in the model store."
        raise line.not_possible(problem)
    return found


def _roll_back_deployed(record: Record, desk: Desk) -> Message | None:
    """Answer the button that deploys the previous version again."""
    if not isinstance(record.outcome, Deployed):
        return replies.BUTTON_OUTDATED
    command = f"/deploy rollback to v{record.outcome.previous} {record.job.model} {record.job.environment}"
    return desk.read(command).answer(desk)


COMMAND = Command(
    verb="/deploy",
    does="Deploy a version, list deployments, and roll back.",
    forms=(_DEPLOY, *_FORMS.values()),
    parse=_parse,
    buttons={"roll_back": _roll_back_deployed},
)
