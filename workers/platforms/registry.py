"""What a version is, wherever its registry lies: its name, its number, its digest, its manifest as JSON. Pure."""

import json
from collections.abc import Mapping
from hashlib import sha256

from pydantic import TypeAdapter, ValidationError

from workers.contract.settings import Name
from workers.errors import PermanentError
from workers.platforms.protocols import Manifest

_NAME = TypeAdapter(Name)
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
