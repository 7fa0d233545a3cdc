"""Rules of the registry of versions that its adapters share: names, digests, manifests and load test reports. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workers.contract.settings import Name
from workers.errors import PermanentError
from workers.platforms.protocols import Manifest

REPORTS = "_reports"
"""The folder of the reports: no model can have this name."""
_NAME = TypeAdapter(Name)
_REPORT = re.compile(r"[0-9]{8}T[0-9]{12}Z-([A-Za-z0-9_-]{1,64})\.json")
_MANIFEST = TypeAdapter(Manifest)


def check_model(model: str) -> None:
    """Raise PermanentError if `model` is not a model's name. Call before it becomes part of a path."""
    if not _is_name(model):
        raise PermanentError(f"{model!r:.80} is not a model's name.")


def _is_name(text: str) -> bool:
    try:
        return bool(_NAME.validate_python(text, strict=True))
    except ValidationError:
        return False


def check_version(*, model: str, version: int) -> None:
    """Raise PermanentError if `model` is not a model's name or `version` is below 1."""
    check_model(model)
    if version < 1:
        raise PermanentError(f"{version} is not a version number: versions start at 1.")


def digest(contents: Mapping[str, str]) -> str:
    """Return "sha256:…" over the JSON object that maps each relative name, sorted, to its content's SHA-256 in hex.

    The same files have the same digest in every registry.
    """
    return "sha256:" + sha256(json.dumps(dict(contents), sort_keys=True).encode()).hexdigest()


def write_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as indented JSON. Raises PermanentError for a metric that JSON cannot hold."""
    written = _MANIFEST.dump_json(manifest, indent=2)
    source = f"The manifest of {manifest.model} v{manifest.version}"
    read_manifest(written, source=source, advice="Metrics must be finite numbers.")
    return written


def read_manifest(written: bytes, *, source: str, advice: str) -> Manifest:
    """Parse the output of `write_manifest`. Raises PermanentError that names `source` if it is damaged."""
    try:
        return _MANIFEST.validate_json(written, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PermanentError(f"{source} is damaged: {field and f'{field}: '}{first['msg']}.", advice=advice) from error


def reports_folder(place: str) -> str:
    """Return the folder of a place's reports, "_reports/staging/iris". Raises PermanentError for an invalid place."""
    if not all(_is_name(name) for name in place.split("/")):
        raise PermanentError(f"{place!r:.80} is not a place for load test reports.")
    return f"{REPORTS}/{place}"


def report_name(*, job_id: str, at_s: float) -> str:
    """Return a report's file name, "20261122T165346123456Z-17.json". Names sort by time (UTC)."""
    name = f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%S%fZ}-{job_id}.json"
    if not _REPORT.fullmatch(name):
        raise PermanentError(f"{job_id!r:.80} is not a job's id.")
    return name


def newest_reports(names: Iterable[str]) -> list[str]:
    """Return the file name of each job's newest report, newest first. Ignores other files."""
    newest = {match[1]: match[0] for name in sorted(names) if (match := _REPORT.fullmatch(name))}
    return sorted(newest.values(), reverse=True)


def write_report(report: Mapping[str, Any]) -> bytes:
    """Return a report as JSON. Raises PermanentError for a value that JSON cannot hold."""
    try:
        return json.dumps(report, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PermanentError(f"The report cannot be stored as JSON: {error}.") from error


def read_report(written: bytes) -> Mapping[str, Any] | None:
    """Parse the output of `write_report`. Returns None if it is damaged."""
    try:
        report = json.loads(written)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None
