"""`seatrial explain`: the meaning of a command under some settings, as JSON, without a bot.

People test their settings with it. It parses as the bot does, and nothing is started.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.commands import Lookup, UsageError, read_command, read_mention
from bot.commands.cleaning import clean
from bot.commands.command import Request, Submit
from bot.commands.help import ShowHelp
from bot.commands.schedule.add import AddSchedule
from bot.lookup import GivenLookup, PublishedLookup
from workers.contract.process_settings import ProcessSettings
from workers.contract.queue import Catalogue, Queue, connect
from workers.contract.settings import SettingsFile


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
    lookup = _given(process.file, versions) if versions else _published(process)
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


def _published(process: ProcessSettings) -> Lookup:
    client = connect(process.redis_url)
    return PublishedLookup(settings=process.file, catalogue=Catalogue(client), queue=Queue(client))


def _given(settings: SettingsFile, versions: Sequence[str]) -> Lookup:
    numbers = _read_versions(versions, settings)
    replaced = {model: known[-2] for model, known in numbers.items() if len(known) > 1}
    return GivenLookup(settings=settings, numbers=numbers, environments=[*settings.environments], replaced=replaced)


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
