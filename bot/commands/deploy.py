"""`/deploy`: roll a version out, see what runs where, and go back."""

from bot.commands.arguments import (
    end,
    is_number,
    is_version,
    only_environment,
    only_model,
    published,
    take_environment,
    take_model,
    take_replicas,
)
from bot.commands.command import (
    Command,
    Form,
    Lookup,
    Request,
    ShowDeployments,
    ShowHelp,
    ShowHistory,
    Submit,
    UsageError,
)
from bot.commands.line import Line
from workers.contract.jobs import Deploy
from workers.contract.units import quoted

_DEPLOY = Form(
    usage="/deploy vN [MODEL] [to ENV] [replicas MIN..MAX]",
    does="rolls vN out on ENV; waits for approval where ENV asks for it; undoes itself when it does not become ready",
)
# Versions begin at 1: put in place of what is no version, it is corrected in its turn, to the newest.
_NO_VERSION = "v0"
_FORMS = {
    "status": Form(usage="/deploy status", does="what runs where"),
    "history": Form(usage="/deploy history [ENV]", does="what was deployed, newest first"),
    "rollback": Form(
        usage="/deploy rollback [to vN] [MODEL] [ENV]",
        does="back to the version before, or to vN; replicas stay as they are",
    ),
}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/deploy", text, _DEPLOY)
    if line.is_empty:
        return ShowHelp(verb=line.verb)
    match line.subcommand(_FORMS):
        case "status":
            end(line, lookup)
            return ShowDeployments()
        case "history":
            environment = take_environment(line, lookup)
            end(line, lookup)
            return ShowHistory(environment=environment)
        case "rollback":
            return _roll_back(line, lookup)
    return _deploy(line, lookup)


def _deploy(line: Line, lookup: Lookup) -> Submit:
    dry_run = line.dry_run()
    replicas = take_replicas(line)
    version = line.take(is_version, after=("to", "version"))
    environment = take_environment(line, lookup)
    model = take_model(line, lookup)
    stray = line.next_left()
    if version is None and stray and is_number(stray.text):
        digits = "".join(sign for sign in stray.text if sign in "0123456789")[:9]
        raise line.mistake(
            f"{quoted(stray.text)} is not a version; a version is written like v3.", at=stray.at, instead=f"v{digits}"
        )
    end(line, lookup, _FORMS, lacking="" if version else _NO_VERSION)
    model = model or only_model(line, lookup)
    found = published(line, lookup, model=model, word=version)
    environment = environment or only_environment(line, lookup)
    job = Deploy(model=model, version=found.version, environment=environment, digest=found.digest, replicas=replicas)
    return Submit(job=job, dry_run=dry_run)


def _roll_back(line: Line, lookup: Lookup) -> Submit:
    dry_run = line.dry_run()
    version = line.take(is_version, after=("to", "version"))
    environment = take_environment(line, lookup)
    model = take_model(line, lookup)
    end(line, lookup)
    model = model or only_model(line, lookup)
    environment = environment or only_environment(line, lookup)
    if version is None:
        before = lookup.deployed_before(environment=environment, model=model)
        if before is None:
            raise UsageError(
                f"{model} has no earlier version to go back to on {environment}.",
                usage=line.usage,
                nearest=f"/deploy history {environment}",
            )
        found = next((item for item in lookup.versions(model) if item.version == before), None)
        if found is None:
            raise UsageError(
                f"{model} v{before}, which ran on {environment} before, is not in the model store any more.",
                usage=line.usage,
                nearest=f"/model show {model}",
            )
    else:
        found = published(line, lookup, model=model, word=version)
    job = Deploy(model=model, version=found.version, environment=environment, digest=found.digest)
    return Submit(job=job, dry_run=dry_run)


COMMAND = Command(
    verb="/deploy",
    does="Roll a version out, see what runs where, and go back.",
    forms=(_DEPLOY, *_FORMS.values()),
    parse=_parse,
)
