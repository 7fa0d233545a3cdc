"""`/model`: train models, and look at their versions."""

from dataclasses import dataclass

from bot.commands.arguments import Arguments, is_version, joined_versions
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
from workers.contract.jobs import CheckModel, CheckPassed, Trained, TrainModel

_FORMS = {
    "train": Form(
        usage="/model train MODEL",
        does="next version of MODEL: check → train → evaluate → gate → export → package → smoke test → publish",
    ),
    "check": Form(
        usage="/model check MODEL", does="checks the query, label, features and sample as a training does, at no cost"
    ),
    "list": Form(usage="/model list", does="every model with its newest version"),
    "show": Form(
        usage="/model show MODEL [vN]", does="versions with metrics, who trained them, when, size, where they are live"
    ),
    "compare": Form(usage="/model compare vA vB [MODEL]", does="the metrics of two versions, side by side"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitTraining(Submit):
    """`/model train MODEL`."""

    job: TrainModel

    def command(self, settings: SettingsFile, *, model: str) -> str:
        return f"/model train {self.job.model}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitCheck(Submit):
    """`/model check MODEL`."""

    job: CheckModel

    def command(self, settings: SettingsFile, *, model: str) -> str:
        return f"/model check {self.job.model}"


def _parse(text: str, lookup: Lookup) -> Request:
    line = Arguments("/model", joined_versions(text), _FORMS["train"], lookup)
    match line.subcommand(_FORMS):
        case "train":
            dry_run = line.dry_run()
            model = line.named_model()
            line.end()
            return SubmitTraining(job=TrainModel(model=model), dry_run=dry_run)
        case "check":
            dry_run = line.dry_run()
            model = line.named_model()
            line.end()
            return SubmitCheck(job=CheckModel(model=model), dry_run=dry_run)
        case "list":
            line.end()
            return SimpleRequest("/model list", _list_models)
        case "show":
            return _show(line)
        case "compare":
            return _compare(line)
    # A model's name alone probably asks for its versions.
    raise line.unknown_subcommand(_FORMS, shown=lookup.settings.models.__contains__)


def _list_models(desk: Desk) -> Message:
    return replies.models(desk.settings, {name: list(desk.versions(name)) for name in desk.settings.models})


def _show(line: Arguments) -> Request:
    word = line.take(is_version)
    model = line.named_model()
    line.end()
    number = line.published(model, word).version if word else None

    def show(desk: Desk) -> Message:
        found = [item for item in desk.versions(model) if number in (None, item.version)]
        return replies.model(model, found, desk.served())

    return SimpleRequest(join_words("/model show", model, f"v{number}" if number else ""), show)


def _compare(line: Arguments) -> Request:
    words = line.take(is_version), line.take(is_version)
    model = line.named_model()
    line.end()
    first, second = (line.published(model, word).version for word in words)

    def compare(desk: Desk) -> Message:
        by_number = {item.version: item for item in desk.versions(model)}
        return replies.comparison(by_number[first], by_number[second])

    return SimpleRequest(f"/model compare v{first} v{second} {model}", compare)


def _deploy_trained(record: Record, desk: Desk) -> Message | None:
    """Answer the button that deploys the trained version."""
    if not isinstance(record.outcome, Trained):
        return replies.BUTTON_OUTDATED
    return desk.read(f"/deploy v{record.outcome.version} {record.job.model}").answer(desk)


def _train_checked(record: Record, desk: Desk) -> Message | None:
    """Answer the button that trains the checked model."""
    if not isinstance(record.outcome, CheckPassed):
        return replies.BUTTON_OUTDATED
    return desk.read(f"/model train {record.job.model}").answer(desk)


COMMAND = Command(
    verb="/model",
    does="Train models, and look at their versions.",
    forms=tuple(_FORMS.values()),
    parse=_parse,
    buttons={"deploy": _deploy_trained, "train": _train_checked},
)
