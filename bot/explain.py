"""`seatrial explain`: the meaning of a command under some settings, as JSON, without a bot.

People test their settings with it. It parses as the bot does, and nothing is started.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.commands import Lookup, UsageError, read_command, read_mention
from bot.commands.cleaning import clean
from bot.commands.command import Request, Submit
from bot.commands.help import ShowHelp
from bot.commands.schedule.add import AddSchedule
from workers.contract.catalogue import Served, Version
from workers.contract.jobs import Asked, Deploy, Deployed
from workers.contract.process_settings import ProcessSettings
from workers.contract.queue import Catalogue, Queue, connect
from workers.contract.record import Record
from workers.contract.settings import SettingsFile

_MOST_RECENT = 200


class InvalidVersions(ValueError):
    """Versions that cannot be read. The message shows how to write them."""


def explain(text: str, *, mention: bool, versions: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the meaning of `text` as JSON: `understood` and `kind`, or `problem` and `suggestion`.

    With `mention` the text is a message that mentions the bot, and `understood` is null if it is no command.
    `versions` are like "iris=1,2"; they are taken as published, and the newest as deployed on every environment.
    Without them, versions and endpoints come from Redis. Raises SettingsError, InvalidVersions, and QueueUnavailable
    if Redis is needed and away.
    """
    process = ProcessSettings.read(environ)
    lookup = _Given(process.file, _read_versions(versions, process.file)) if versions else _FromRedis(process)
    return json.dumps(_meaning(text, lookup, mention=mention), ensure_ascii=False)


def _meaning(text: str, lookup: Lookup, *, mention: bool) -> dict[str, Any]:
    try:
        request: Request | None
        if mention:
            request = read_mention(re.sub(r"@seatrial\b", "<@USEATRIAL>", text, flags=re.IGNORECASE), lookup, None)
        else:
            request = read_command(text if clean(text).startswith("/") else f"/{clean(text)}", lookup)
    except UsageError as error:
        return {"problem": error.problem, "suggestion": error.nearest or None}
    if request is None:
        return {"understood": None}
    return {"understood": _in_full(request, lookup.settings), "kind": _kind(request)}


def _in_full(request: Request, settings: SettingsFile) -> str:
    if isinstance(request, Submit):
        command = request.command(settings, model=request.job.model or "")
        return f"{command} dry-run" if request.dry_run else command
    return request.spelled(settings)


def _kind(request: Request) -> str:
    """Return the kind of the job that the request submits, or else its command without names, like "jobs cancel"."""
    match request:
        case Submit():
            return request.job.kind
        case AddSchedule():
            return "schedule add"
        case ShowHelp():
            return "help"
    return " ".join(_in_full(request, SettingsFile()).removeprefix("/").split()[:2])


def _read_versions(texts: Sequence[str], settings: SettingsFile) -> Mapping[str, Sequence[int]]:
    """Return the version numbers by model, in order. Raises InvalidVersions."""
    found: dict[str, list[int]] = {}
    for one in (part for text in texts for part in re.split(r"[\s;]+|,(?=[a-z][a-z0-9-]*=)", text) if part):
        match = re.fullmatch(r"([a-z][a-z0-9-]*)=((?:v?[0-9]{1,9}(?:,|$))*)", one)
        if match is None:
            raise InvalidVersions(f"--versions {one} cannot be read. Write it like --versions iris=1,2.")
        if match[1] not in settings.models:
            raise InvalidVersions(f"The settings have no model {match[1]}, which --versions names.")
        found[match[1]] = sorted({int(number) for number in re.findall("[0-9]+", match[2])})
    return found


class _FromRedis:
    """Implements Lookup with the facts that workers published."""

    def __init__(self, process: ProcessSettings) -> None:
        client = connect(process.redis_url)
        self.settings = process.file
        self._catalogue, self._queue = Catalogue(client), Queue(client)

    def versions(self, model: str) -> Sequence[Version]:
        return self._catalogue.versions(model)

    def served(self) -> Sequence[Served]:
        return self._catalogue.served()

    def recent(self) -> Sequence[Record]:
        return self._queue.recent(_MOST_RECENT)


@dataclass(frozen=True)
class _Given:
    """Implements Lookup with given versions: on each environment the newest replaced the one before."""

    settings: SettingsFile
    given: Mapping[str, Sequence[int]]

    def versions(self, model: str) -> Sequence[Version]:
        return [
            Version(
                model=model,
                version=number,
                digest=f"sha256:{number}",
                metrics={},
                size_bytes=0,
                trained_by="",
                created_at_s=0.0,
                job_id="",
            )
            for number in self._numbers.get(model, ())
        ]

    def served(self) -> Sequence[Served]:
        return [
            Served(
                model=model,
                environment=name,
                version=numbers[-1],
                address="",
                ready=environment.replicas.minimum,
                replicas=environment.replicas,
                since_s=0.0,
                job_id="",
            )
            for model, numbers in self._numbers.items()
            for name, environment in self.settings.environments.items()
        ]

    def recent(self) -> Sequence[Record]:
        return [
            Record(
                id="1",
                job=Deploy(model=served.model, version=served.version, environment=served.environment, digest=""),
                asked=Asked(by="", by_name="", where="", at_s=0.0),
                state="succeeded",
                outcome=Deployed(
                    version=served.version,
                    previous=self._numbers[served.model][-2],
                    address=served.address,
                    ready=served.ready,
                    replicas=served.replicas,
                ),
            )
            for served in self.served()
            if len(self._numbers[served.model]) > 1
        ]

    @property
    def _numbers(self) -> Mapping[str, Sequence[int]]:
        return {model: numbers for model, numbers in self.given.items() if numbers}
