"""Models, versions, environments, replicas and jobs in a command: as named, or the only one there is.

The verbs' parsers use it. Rates, times and objectives are in `quantities`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from bot.commands.command import Form, Lookup, UsageError
from bot.commands.corrections import closest, closest_replicas
from bot.commands.line import Line, Word
from workers.contract.catalogue import Version
from workers.contract.replicas import Replicas
from workers.contract.settings import SettingsFile
from workers.contract.units import read_replicas

_VERSION = re.compile(r"v(\d{1,9})", re.ASCII)
_JOB_ID = re.compile(r"#?(\d{1,18})", re.ASCII)
_NUMBER = re.compile(r"[+-]?\.?\d.*", re.ASCII)
_BEFORE_PLACE = ("to", "on", "in", "at")


def is_version(word: str) -> bool:
    """Return whether `word` looks like v3."""
    return _VERSION.fullmatch(word) is not None


def is_number(word: str) -> bool:
    """Return whether `word` begins like a number."""
    return _NUMBER.fullmatch(word) is not None


def take_model(line: Line, lookup: Lookup) -> str | None:
    """Take a model's name."""
    word = line.take(lambda text: text in lookup.settings.models, after=("for", "of", "on", "model"))
    return word.text if word else None


def take_environment(line: Line, lookup: Lookup) -> str | None:
    """Take an environment's name. Raises UsageError if `to` or `on` precedes an unknown name."""
    return _take_place(line, lookup.settings, "environment", lookup.settings.environments)


def take_place(line: Line, lookup: Lookup) -> str | None:
    """Take the name of an environment or load target. Raises UsageError as `take_environment` does."""
    settings = lookup.settings
    kind = "environment or target" if settings.targets else "environment"
    return _take_place(line, settings, kind, settings.places)


def take_replicas(line: Line, *, bare: bool = False) -> Replicas | None:
    """Take `replicas 1..4`, `3 replicas` or `1..4`, and with `bare` also a number alone. Raises UsageError."""
    bare = bare or line.has("replicas")
    word = line.take(
        lambda text: ".." in text or (bare and is_number(text)), after=("to", "replicas", "at"), before=("replicas",)
    )
    if word is None:
        return None
    try:
        return read_replicas(word.text)
    except ValueError as error:
        raise line.mistake(str(error), at=word.at, instead=closest_replicas(word.text)) from error


def take_job_id(line: Line) -> str | None:
    """Take the next word as a job's number, like 42 or #42. Raises UsageError if it is no number."""
    word = line.take(lambda text: text not in ("job", "#"), after=("job", "#"))
    if word is None:
        return None
    match = _JOB_ID.fullmatch(word.text)
    if match is None:
        digits = re.search(r"[0-9]{1,18}", word.text)
        problem = f"{word.quoted} is not a job; jobs are numbers, like 42."
        raise line.mistake(problem, at=word.at, instead=digits[0] if digits else "")
    return str(int(match[1]))


def end(line: Line, lookup: Lookup, keywords: Iterable[str] = (), *, missing: str = "") -> None:
    """Raise UsageError if a word is left.

    The suggestion is the closest of `keywords`, or else `missing`: an example of a word that the command still needs.
    """
    word = line.next_left()
    if word is None:
        return
    settings = lookup.settings
    if word.text not in (*settings.environments, *settings.models):
        for kind, names in (("environment", settings.environments), ("model", settings.models)):
            if closest(word.text, names):
                raise _unknown(line, word, kind, names)
    # A keyword in the wrong position must not be corrected to itself.
    instead = closest(word.text, [keyword for keyword in keywords if keyword != word.text]) or missing
    raise line.mistake(f"{word.quoted} is not understood here.", at=word.at, instead=instead)


def unknown_subcommand(
    line: Line, forms: Mapping[str, Form], *, shown: Callable[[str], bool] = lambda word: False
) -> UsageError:
    """Return the error for a first word that is no subcommand. If it is `shown`, the suggestion shows it."""
    word = line.next_left()
    if word is None:
        return UsageError(f"Try {_listed(forms, last='or')}.", usage=line.usage, nearest=f"{line.verb} help")
    problem = f"{line.verb} has no subcommand {word.quoted}. Try {_listed(forms, last='or')}."
    instead = f"show {word.text}" if shown(word.text) else closest(word.text, forms) or "help"
    return line.mistake(problem, at=word.at, instead=instead)


def named_model(line: Line, lookup: Lookup) -> str:
    """Take the next word as a model's name, or return the only model if no word is left. Raises UsageError."""
    models = lookup.settings.models
    if taken := take_model(line, lookup):
        return taken
    word = line.next_left()
    if word and models and not is_version(word.text):
        raise _unknown(line, word, "model", models)
    return only_model(line, lookup)


def only_model(line: Line, lookup: Lookup) -> str:
    """Return the only model. Raises UsageError if the settings do not have exactly one."""
    models = tuple(lookup.settings.models)
    if len(models) == 1:
        return models[0]
    if not models:
        raise not_possible("seatrial.toml names no model yet; add one under [models.NAME].", line)
    raise line.mistake(f"Say which model: {_listed(models)}.", instead=models[0])


def only_environment(line: Line, lookup: Lookup) -> str:
    """Return the only environment, or the only one without approvals. Raises UsageError if there is no such one."""
    environments = lookup.settings.environments
    free = [name for name, environment in environments.items() if environment.approvals is None]
    if len(environments) == 1 or len(free) == 1:
        return free[0] if free else next(iter(environments))
    if not environments:
        raise not_possible("seatrial.toml names no environment yet; add one under [environments.NAME].", line)
    instead = free[0] if free else next(iter(environments))
    raise line.mistake(f"Say on which environment: {_listed(environments)}.", instead=f"on {instead}")


def only_place(line: Line, lookup: Lookup) -> str:
    """Return the only environment, or the only load target if the settings have no environment. Raises UsageError."""
    targets = lookup.settings.targets
    if lookup.settings.environments or not targets:
        return only_environment(line, lookup)
    first = next(iter(targets))
    if len(targets) == 1:
        return first
    raise line.mistake(f"Say on which target: {_listed(targets)}.", instead=f"on {first}")


def published(line: Line, lookup: Lookup, *, model: str, word: Word | None) -> Version:
    """Return the published version that `word` names. Raises UsageError if it does not exist or is not named."""
    versions = lookup.versions(model)
    if not versions:
        problem = f"{model} has no version yet; train one first."
        raise UsageError(problem, usage=line.usage, nearest=f"/model train {model}")
    newest = versions[-1].version
    if word is None:
        raise line.mistake(f"Say which version of {model}; the newest is v{newest}.", instead=f"v{newest}")
    found = next((version for version in versions if version.version == int(word.text[1:])), None)
    if found is None:
        problem = f"{model} has no version {word.quoted}; the newest is v{newest}."
        raise line.mistake(problem, at=word.at, instead=f"v{newest}")
    return found


def not_a_version(line: Line, word: Word) -> UsageError:
    """Return the error for a number in place of a version. It suggests the version of that number."""
    digits = "".join(sign for sign in word.text if sign in "0123456789")[:9]
    problem = f"{word.quoted} is not a version; a version looks like v3."
    return line.mistake(problem, at=word.at, instead=f"v{digits}")


def must_be_served(line: Line, lookup: Lookup, *, model: str, environment: str) -> None:
    """Raise UsageError if `model` is not served on `environment`. It suggests the command to type first."""
    if any((served.model, served.environment) == (model, environment) for served in lookup.served()):
        return
    versions = lookup.versions(model)
    if versions:
        todo, first = "deploy a version there first", f"/deploy v{versions[-1].version} {model} to {environment}"
    else:
        todo, first = "train a version and deploy it there first", f"/model train {model}"
    raise UsageError(f"{model} is not served on {environment} yet; {todo}.", usage=line.usage, nearest=first)


def not_possible(problem: str, line: Line) -> UsageError:
    """Return an error that no other spelling avoids. It suggests help."""
    return UsageError(problem, usage=line.usage, nearest=f"{line.verb} help")


def _take_place(line: Line, settings: SettingsFile, kind: str, names: Collection[str]) -> str | None:
    word = line.take_after(_BEFORE_PLACE, lambda text: text in names) or line.take(lambda text: text in names)
    if word:
        return word.text
    if stray := line.take_after(_BEFORE_PLACE, lambda text: _is_unknown_name(text, settings)):
        raise _unknown(line, stray, kind, names)
    return None


def _is_unknown_name(text: str, settings: SettingsFile) -> bool:
    return text[0].isalpha() and not is_version(text) and text not in settings.models


def _unknown(line: Line, word: Word, kind: str, names: Collection[str]) -> UsageError:
    if not names:
        return not_possible(f"seatrial.toml names no {kind} yet; add one under [{kind}s.NAME].", line)
    return line.mistake(
        f"There is no {kind} {word.quoted}; there {'is' if len(names) == 1 else 'are'} {_listed(names)}.",
        at=word.at,
        instead=closest(word.text, names) or next(iter(names)),
    )


def _listed(names: Collection[str], *, last: str = "and", most: int = 6) -> str:
    listed = list(names)[:most] + (["more"] if len(names) > most else [])
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} {last} {listed[-1]}"
