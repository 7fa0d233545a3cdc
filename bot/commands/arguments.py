"""Which model, version, environment, replicas or job a line of words speaks of: as named, or the only one there is."""

import re
from collections.abc import Collection, Iterable

from bot.commands.command import Lookup, UsageError
from bot.commands.line import Line, Word, closest
from workers.contract.catalogue import Version
from workers.contract.replicas import Replicas
from workers.contract.settings import SettingsFile
from workers.contract.units import MOST_REPLICAS, quoted, read_replicas

_VERSION = re.compile(r"v(\d{1,9})", re.ASCII)
_JOB_ID = re.compile(r"#?(\d{1,18})", re.ASCII)
_NUMBER = re.compile(r"[+-]?\.?\d.*", re.ASCII)
_PLACE = ("to", "on", "in", "at")


def is_version(word: str) -> bool:
    """Whether `word` is written like v3."""
    return _VERSION.fullmatch(word) is not None


def is_number(word: str) -> bool:
    """Whether `word` begins like a number, whatever follows."""
    return _NUMBER.fullmatch(word) is not None


def take_model(line: Line, lookup: Lookup) -> str | None:
    """The model that is named, or None."""
    word = line.take(lambda text: text in lookup.settings.models, after=("for", "of", "on", "model"))
    return word.text if word else None


def take_environment(line: Line, lookup: Lookup) -> str | None:
    """The environment that is named, or None. Raises UsageError where `to` or `on` is followed by an unknown name."""
    return _take_place(line, lookup.settings, "environment", lookup.settings.environments)


def take_place(line: Line, lookup: Lookup) -> str | None:
    """The environment or target that is named, or None. Raises UsageError as `take_environment` does."""
    settings = lookup.settings
    kind = "environment or target" if settings.targets else "environment"
    return _take_place(line, settings, kind, settings.places)


def take_replicas(line: Line, *, bare: bool = False) -> Replicas | None:
    """`replicas 1..4`, `3 replicas`, `1..4`, and with `bare` a number alone too; or None."""
    bare = bare or line.has("replicas")
    word = line.take(
        lambda text: ".." in text or (bare and is_number(text)),
        after=("to", "replicas", "at"),
        before=("replicas",),
    )
    if word is None:
        return None
    try:
        return read_replicas(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=_possible_replicas(word.text)) from error


def take_job_id(line: Line) -> str | None:
    """The job that is named, as 42 or #42, or None where no word is left. Raises UsageError for anything else."""
    word = line.take(lambda text: text not in ("job", "#"), after=("job", "#"))
    if word is None:
        return None
    match = _JOB_ID.fullmatch(word.text)
    if match is None:
        digits = re.search(r"[0-9]{1,18}", word.text)
        raise line.mistake(
            f"{quoted(word.text)} is not a job; jobs are numbers, like 42.",
            at=word.at,
            instead=digits[0] if digits else "",
        )
    return str(int(match[1]))


def end(line: Line, lookup: Lookup, keywords: Iterable[str] = (), *, lacking: str = "") -> None:
    """Raise UsageError where a word is left that nobody took.

    `keywords` are what it could have been meant to be, and `lacking` stands for what the command cannot do without.
    """
    word = line.next_left()
    if word is None:
        return
    settings = lookup.settings
    if word.text not in (*settings.environments, *settings.models):
        for kind, names in (("environment", settings.environments), ("model", settings.models)):
            if closest(word.text, names):
                raise _unknown(line, word, kind, names)
    # A keyword that is right but out of place would be corrected to itself.
    instead = closest(word.text, [keyword for keyword in keywords if keyword != word.text]) or lacking
    raise line.mistake(f"{quoted(word.text)} is not understood here.", at=word.at, instead=instead)


def named_model(line: Line, lookup: Lookup) -> str:
    """The next word as a model's name; the only model where no word is left."""
    models = lookup.settings.models
    if taken := take_model(line, lookup):
        return taken
    word = line.next_left()
    if word and models and not is_version(word.text):
        raise _unknown(line, word, "model", models)
    return only_model(line, lookup)


def only_model(line: Line, lookup: Lookup) -> str:
    """The model that need not be named. Raises UsageError where there are several, or none."""
    models = tuple(lookup.settings.models)
    if len(models) == 1:
        return models[0]
    if not models:
        raise no_way("seatrial.toml names no model yet; add one under [models.NAME].", line)
    raise line.mistake(f"Say which model: {_listed(models)}.", instead=models[0])


def only_environment(line: Line, lookup: Lookup) -> str:
    """The environment that need not be named: the only one, or the only one without approvals. Raises UsageError."""
    environments = lookup.settings.environments
    free = [name for name, environment in environments.items() if environment.approvals is None]
    if len(environments) == 1 or len(free) == 1:
        return free[0] if free else next(iter(environments))
    if not environments:
        raise no_way("seatrial.toml names no environment yet; add one under [environments.NAME].", line)
    instead = free[0] if free else next(iter(environments))
    raise line.mistake(f"Say on which environment: {_listed(environments)}.", instead=f"on {instead}")


def only_place(line: Line, lookup: Lookup) -> str:
    """The environment that need not be named, or the only target where there are targets alone. Raises UsageError."""
    targets = lookup.settings.targets
    if lookup.settings.environments or not targets:
        return only_environment(line, lookup)
    first = next(iter(targets))
    if len(targets) == 1:
        return first
    raise line.mistake(f"Say on which target: {_listed(targets)}.", instead=f"on {first}")


def published(line: Line, lookup: Lookup, *, model: str, word: Word | None) -> Version:
    """The published version that `word` names. Raises UsageError where there is none like it."""
    versions = lookup.versions(model)
    if not versions:
        raise UsageError(
            f"{model} has no version yet; train one first.", usage=line.usage, nearest=f"/model train {model}"
        )
    newest = versions[-1].version
    if word is None:
        raise line.mistake(f"Say which version of {model}; the newest is v{newest}.", instead=f"v{newest}")
    wanted = version_number(word)
    found = next((version for version in versions if version.version == wanted), None)
    if found is None:
        raise line.mistake(
            f"{model} has no version {quoted(word.text)}; the newest is v{newest}.", at=word.at, instead=f"v{newest}"
        )
    return found


def version_number(word: Word) -> int:
    """The number in v3."""
    return int(word.text[1:])


def must_be_served(line: Line, lookup: Lookup, *, model: str, environment: str) -> None:
    """Raise UsageError, with the command to type first, where `model` is not served on `environment`."""
    if any((served.model, served.environment) == (model, environment) for served in lookup.served()):
        return
    versions = lookup.versions(model)
    if versions:
        todo, first = "deploy a version there first", f"/deploy v{versions[-1].version} {model} to {environment}"
    else:
        todo, first = "train a version and deploy it there first", f"/model train {model}"
    raise UsageError(f"{model} is not served on {environment} yet; {todo}.", usage=line.usage, nearest=first)


def no_way(problem: str, line: Line) -> UsageError:
    """An error that no other spelling avoids."""
    return UsageError(problem, usage=line.usage, nearest=f"{line.verb} help")


def _take_place(line: Line, settings: SettingsFile, kind: str, names: Collection[str]) -> str | None:
    word = line.take_after(_PLACE, lambda text: text in names) or line.take(lambda text: text in names)
    if word:
        return word.text
    if stray := line.take_after(_PLACE, lambda text: _is_unknown_name(text, settings)):
        raise _unknown(line, stray, kind, names)
    return None


def _is_unknown_name(text: str, settings: SettingsFile) -> bool:
    return text[0].isalpha() and not is_version(text) and text not in settings.models


def _unknown(line: Line, word: Word, kind: str, names: Collection[str]) -> UsageError:
    if not names:
        return no_way(f"seatrial.toml names no {kind} yet; add one under [{kind}s.NAME].", line)
    return line.mistake(
        f"There is no {kind} {quoted(word.text)}; there {'is' if len(names) == 1 else 'are'} {_listed(names)}.",
        at=word.at,
        instead=closest(word.text, names) or next(iter(names)),
    )


def _listed(names: Collection[str], most: int = 6) -> str:
    shown = list(names)[:most] + (["more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _possible_replicas(text: str) -> str:
    found = [min(max(int(number), 1), MOST_REPLICAS) for number in re.findall(r"[0-9]{1,9}", text)[:2]] or [1]
    return str(Replicas(minimum=min(found), maximum=max(found)))
