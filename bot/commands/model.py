"""`/model`: new versions, and what is known of those there are."""

from bot.commands.arguments import end, is_version, named_model, published
from bot.commands.command import (
    Command,
    CompareVersions,
    Form,
    ListModels,
    Lookup,
    Request,
    ShowHelp,
    ShowModel,
    Submit,
)
from bot.commands.line import Line, closest
from workers.contract.jobs import TrainModel
from workers.contract.units import quoted

_FORMS = {
    "train": Form(
        usage="/model train MODEL",
        does="next version of MODEL: train → evaluate → gate → export → version → package → smoke test → publish",
    ),
    "list": Form(usage="/model list", does="every model with its newest version"),
    "show": Form(
        usage="/model show MODEL [vN]", does="versions with metrics, who trained them, when, size, where they are live"
    ),
    "compare": Form(usage="/model compare vA vB [MODEL]", does="the metrics of two versions, side by side"),
}


def _parse(text: str, lookup: Lookup) -> Request:
    line = Line("/model", text, _FORMS["train"])
    if line.is_empty:
        return ShowHelp(verb=line.verb)
    match line.subcommand(_FORMS):
        case "train":
            dry_run = line.dry_run()
            model = named_model(line, lookup)
            end(line, lookup)
            return Submit(job=TrainModel(model=model), dry_run=dry_run)
        case "list":
            end(line, lookup)
            return ListModels()
        case "show":
            return _show(line, lookup)
        case "compare":
            return _compare(line, lookup)
    word = line.next_left()
    if word is None:
        return ShowHelp(verb=line.verb)
    # A model alone is most likely wanted to be shown.
    instead = "show " + word.text if word.text in lookup.settings.models else closest(word.text, _FORMS) or "help"
    raise line.mistake(
        f"{quoted(word.text)} is nothing that /model does; it can train, list, show and compare.",
        at=word.at,
        instead=instead,
    )


def _show(line: Line, lookup: Lookup) -> ShowModel:
    version = line.take(is_version)
    model = named_model(line, lookup)
    end(line, lookup)
    if version is None:
        return ShowModel(model=model, version=None)
    return ShowModel(model=model, version=published(line, lookup, model=model, word=version).version)


def _compare(line: Line, lookup: Lookup) -> CompareVersions:
    first, second = line.take(is_version), line.take(is_version)
    model = named_model(line, lookup)
    end(line, lookup)
    before = published(line, lookup, model=model, word=first)
    after = published(line, lookup, model=model, word=second)
    return CompareVersions(model=model, first=before.version, second=after.version)


COMMAND = Command(
    verb="/model",
    does="Train models, and see what became of them.",
    forms=tuple(_FORMS.values()),
    parse=_parse,
)
