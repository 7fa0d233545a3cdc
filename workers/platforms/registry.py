"""What a version is, wherever its registry lies: its name, its number, its digest, its manifest as JSON. Pure.

And what a kept report of a load test is, beside the versions: its name, its JSON.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workers.contract.settings import Name
from workers.errors import PermanentError
from workers.platforms.protocols.artifacts import Manifest

REPORTS = "_reports"
"""The folder of the reports: no model can have this name."""

_NAME = TypeAdapter(Name)
_REPORT = re.compile(r"[0-9]{8}T[0-9]{12}Z-([A-Za-z0-9_-]{1,64})\.json")
_MANIFEST = TypeAdapter(Manifest)


def check_model(model: str) -> None:
    """Raises PermanentError for what is no model's name: it is about to become part of a path."""
    try:
        _NAME.validate_python(model, strict=True)
    except ValidationError as error:
        raise PermanentError(f"{model!r:.80} is not a model's name.") from error


def check_version(*, model: str, version: int) -> None:
    """Raises PermanentError for what is no model's name or no version's number."""
    check_model(model)
    if version < 1:
        raise PermanentError(f"{version} is not a version's number: they begin with 1.")


def digest(contents: Mapping[str, str]) -> str:
    """ "sha256:…" over the JSON object that maps each relative name, sorted, to its content's SHA-256 in hexadecimal.

    The same files have the same digest in every registry.
    """
    return "sha256:" + sha256(json.dumps(dict(contents), sort_keys=True).encode()).hexdigest()


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as JSON for people and programs. Raises PermanentError for a metric that JSON cannot hold."""
    written = _MANIFEST.dump_json(manifest, indent=2)
    source = f"The manifest of {manifest.model} v{manifest.version}"
    read_manifest(written, source=source, advice="A metric that is no finite number cannot be kept.")
    return written


def read_manifest(written: bytes, *, source: str, advice: str) -> Manifest:
    """Read back what `write_manifest` wrote. Raises PermanentError naming `source` where it is damaged."""
    try:
        return _MANIFEST.validate_json(written, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PermanentError(f"{source} is damaged: {field and f'{field}: '}{first['msg']}.", advice=advice) from error


def reports_folder(place: str) -> str:
    """The folder of a place's reports, "_reports/staging/iris". Raises PermanentError for what is no place."""
    for name in place.split("/"):
        try:
            _NAME.validate_python(name, strict=True)
        except ValidationError as error:
            raise PermanentError(f"{place!r:.80} is not a place that load tests are kept of.") from error
    return f"{REPORTS}/{place}"


def report_name(*, job_id: str, at_s: float) -> str:
    """A report's file name, "20261122T165346123456Z-17.json": in order of the names is in order of time (UTC)."""
    name = f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%S%fZ}-{job_id}.json"
    if not _REPORT.fullmatch(name):
        raise PermanentError(f"{job_id!r:.80} is not a job's id.")
    return name


def newest_reports(names: Iterable[str]) -> list[str]:
    """Those of the file names that are the newest report of their job, newest first."""
    newest: dict[str, str] = {}
    for name in sorted(names):
        if match := _REPORT.fullmatch(name):
            newest[match[1]] = name
    return sorted(newest.values(), reverse=True)


def write_report(report: Mapping[str, Any]) -> bytes:
    """A report as JSON. Raises PermanentError for what JSON cannot hold."""
    try:
        return json.dumps(report, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PermanentError(f"The report cannot be kept as JSON: {error}.") from error


def read_report(written: bytes) -> Mapping[str, Any] | None:
    """Read back what `write_report` wrote; None where it is damaged."""
    try:
        report = json.loads(written)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None
