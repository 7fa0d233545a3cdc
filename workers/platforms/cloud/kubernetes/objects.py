"""Objects of the Kubernetes API as plain dicts: read from YAML, asked for a condition, quoted in a sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.errors import PermanentError

Object = dict[str, Any]
"""An object of the API, as its JSON."""

Objects = Sequence[Object]


def read_object(path: Path, kind: str) -> Object:
    """Read the one object in a YAML file. Raises PermanentError if it cannot be read or is not of this `kind`."""
    import yaml

    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PermanentError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise PermanentError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(read, dict) or read.get("kind") != kind:
        raise PermanentError(f"{path} must hold one object of the kind {kind}.")
    return read


def condition(obj: Object, kind: str) -> Object:
    """Return the condition of the type `kind`, or an empty dict."""
    conditions: list[Object] = obj.get("status", {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == kind), {})


def sentence(text: str) -> str:
    """Return a message of the cluster as one line that ends with a full stop."""
    return f"{' '.join(text.split()).rstrip('.: ')}."
