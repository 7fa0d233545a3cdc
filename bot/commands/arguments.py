"""Models, versions, environments, replicas and jobs in a command: as named, or the only one there is.

The verbs' parsers use it. Rates, times and objectives are in `loadtest.quantities`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from bot.commands.cleaning import clean
from bot.commands.command import Form, Lookup, UsageError
from bot.commands.line import Line, Word
from bot.commands.spelling import closest
from workers.contract.catalogue import Version
from workers.contract.replicas import Replicas
from workers.contract.units import read_replicas

_VERSION = re.compile(r"v(\d{1,9})", re.ASCII)
_JOB_ID = re.compile(r"#?(\d{1,18}),?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\.?\d.*", re.ASCII)
_STOP = ("abort", "cancel", "halt", "kill", "stop")
_BEFORE_PLACE = ("to", "on", "in", "into", "at")
_BEFORE_JOB = ("job", "jobs", "#", "vs", "&")
_REPLICAS = ("replicas", "replica")


def is_version(word: str) -> bool:
    """Return whether `word` looks like v3."""
    return _VERSION.fullmatch(word) is not None


def joined_versions(text: str) -> str:
    """Return `text` with each version as one word, like "v 3", "v1..v2" and "v1 vs v2"."""
    text = re.sub(r"(?<!\S)v(?:ersion)? ([0-9]+)(?!\S)", r"v\1", clean(text), flags=re.IGNORECASE)
    return re.sub(r"(?<!\S)(v[0-9]+)(?: ?\.\. ?| ?- ?| vs | to )(?=v[0-9])", r"\1 ", text, flags=re.IGNORECASE)


def is_number(word: str) -> bool:
    """Return whether `word` begins like a number."""
    return _NUMBER.fullmatch(word) is not None


class Arguments(Line):
    """The words of one command, and the lookup for the names in it. Methods raise UsageError."""

    def __init__(self, verb: str, text: str, form: Form, lookup: Lookup) -> None:
        super().__init__(verb, text, form)
        self.lookup = lookup
        self.settings = lookup.settings

    def take_model(self) -> str | None:
        """Take a model's name."""
        word = self.take(
            lambda text: text in self.settings.models, after=("for", "of", "on", "model"), before=("model",)
        )
        return word.text if word else None

    def take_environment(self) -> str | None:
        """Take an environment's name. A word such as `to` must not precede an unknown name."""
        return self._take_place("environment", self.settings.environments)

    def take_place(self) -> str | None:
        """Take the name of an environment or load target, as `take_environment` does."""
        return self._take_place(
            "environment or target" if self.settings.targets else "environment", self.settings.places
        )

    def take_replicas(self, *, bare: bool = False) -> Replicas | None:
        """Take `replicas 1..4`, `3 replicas` or `1..4`, and with `bare` also a number alone."""
        bare = bare or any(map(self.has, _REPLICAS))
        after = ("to", "at", *_REPLICAS)
        word = self.take(lambda text: ".." in text or (bare and is_number(text)), after=after, before=_REPLICAS)
        if word is None:
            return None
        try:
            return read_replicas(word.text)
        except ValueError as error:
            raise self.not_possible(str(error)) from error

    def take_job_id(self) -> str | None:
        """Take the next word as a job's number, like 42 or #42."""
        word = self.take(lambda text: text not in _BEFORE_JOB, after=_BEFORE_JOB)
        if word is None:
            return None
        if match := _JOB_ID.fullmatch(word.text):
            return str(int(match[1]))
        raise self.not_possible(f"{word.quoted} is not a job; jobs are numbers, like 42.")

    def end(self, keywords: Iterable[str] = ()) -> None:
        """Raise UsageError if a word is left. The suggestion has the closest of `keywords` in its place."""
        word = self.next_left()
        if word is None:
            return
        environments, models = self.settings.environments, self.settings.models
        if word.text not in (*environments, *models):
            for kind, names in (("environment", environments), ("model", models)):
                if closest(word.text, names):
                    raise self._unknown(word, kind, names)
        # A keyword in the wrong position must not be corrected to itself.
        instead = closest(word.text, [keyword for keyword in (*keywords, "dry-run") if keyword != word.text])
        stop = " To stop a job, type /jobs cancel JOB." if word.text in _STOP else ""
        raise self.mistake(f"{word.quoted} is not understood here.{stop}", at=word.at, instead=instead or "")

    def unknown_subcommand(
        self, forms: Mapping[str, Form], *, shown: Callable[[str], bool] = lambda word: False
    ) -> UsageError:
        """Return the error for a first word that is no subcommand. If it is `shown`, the suggestion shows it."""
        word = self.next_left()
        if word is None:
            return self.not_possible(f"Try {_listed(forms, last='or')}.")
        problem = f"{self.verb} has no subcommand {word.quoted}. Try {_listed(forms, last='or')}."
        instead = f"show {word.text}" if shown(word.text) else closest(word.text, forms) or "help"
        return self.mistake(problem, at=word.at, instead=instead)

    def named_model(self) -> str:
        """Take the next word as a model's name, or return the only model if no word is left."""
        if taken := self.take_model():
            return taken
        word = self.next_left()
        if word and self.settings.models and not is_version(word.text):
            raise self._unknown(word, "model", self.settings.models)
        return self.only_model()

    def only_model(self) -> str:
        """Return the only model."""
        return self._only("model", self.settings.models)

    def only_environment(self) -> str:
        """Return the only environment, or the only one without approvals."""
        environments = self.settings.environments
        free = [name for name, environment in environments.items() if environment.approvals is None]
        return self._only("environment", environments, usual=free, on="on ")

    def only_place(self) -> str:
        """Return the only environment, or the only load target if the settings have no environment."""
        if self.settings.environments or not self.settings.targets:
            return self.only_environment()
        return self._only("target", self.settings.targets, on="on ")

    def published(self, model: str, word: Word | None) -> Version:
        """Return the published version that `word` names."""
        versions = self.lookup.versions(model)
        if not versions:
            problem = f"{model} has no version yet; train one first."
            raise self.not_possible(problem)
        newest = f"v{versions[-1].version}"
        if word is None:
            raise self.not_possible(f"Say which version of {model}; the newest is {newest}.")
        for version in versions:
            if version.version == int(word.text[1:]):
                return version
        raise self.not_possible(f"{model} has no version {word.quoted}; the newest is {newest}.")

    def must_be_served(self, model: str, environment: str) -> None:
        """Raise UsageError if `model` is not served on `environment`."""
        if any((served.model, served.environment) == (model, environment) for served in self.lookup.served()):
            return
        todo = "deploy a version there first" if self.lookup.versions(model) else "train a version and deploy it there"
        raise self.not_possible(f"{model} is not served on {environment} yet; {todo}.")

    def not_possible(self, problem: str) -> UsageError:
        """Return an error without a suggestion, because none is certain to be what was meant."""
        return UsageError(problem, usage=self.usage)

    def _take_place(self, kind: str, names: Collection[str]) -> str | None:
        word = self.take_after(_BEFORE_PLACE, lambda text: text in names) or self.take(lambda text: text in names)
        if word:
            return word.text
        if stray := self.take_after(_BEFORE_PLACE, self._is_unknown_name):
            raise self._unknown(stray, kind, names)
        return None

    def _is_unknown_name(self, text: str) -> bool:
        return not is_number(text) and not is_version(text) and text not in self.settings.models

    def _only(self, kind: str, names: Collection[str], *, usual: Collection[str] = (), on: str = "") -> str:
        """Return the only one of `names`, or the only `usual` one. `on` precedes the name in the command."""
        if not names:
            raise self._not_configured(kind)
        first = next(iter(usual or names))
        if 1 in (len(names), len(usual)):
            return first
        raise self.not_possible(f"Say {on}which {kind}: {_listed(names)}.")

    def _unknown(self, word: Word, kind: str, names: Collection[str]) -> UsageError:
        if not names:
            return self._not_configured(kind)
        problem = f"There is no {kind} {word.quoted}; there {'is' if len(names) == 1 else 'are'} {_listed(names)}."
        return self.mistake(problem, at=word.at, instead=closest(word.text, names) or "")

    def _not_configured(self, kind: str) -> UsageError:
        return self.not_possible(f"seatrial.toml names no {kind} yet; add one under [{kind}s.NAME].")


def _listed(names: Collection[str], *, last: str = "and", most: int = 6) -> str:
    listed = list(names)[:most] + (["more"] if len(names) > most else [])
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} {last} {listed[-1]}"
