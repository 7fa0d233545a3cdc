"""The YAML of k8s/, read as it stands: one object a file."""

from pathlib import Path
from typing import Any

from workers.errors import PermanentError


def read_object(path: Path, kind: str) -> dict[str, Any]:
    """The object in `path`. Raises PermanentError where it cannot be read, or is not one object of this `kind`."""
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
