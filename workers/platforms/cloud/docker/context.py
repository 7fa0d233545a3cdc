"""The build context of a model's image: the Dockerfile, and a tar of it and the model. Pure.

The same files give the same bytes on every machine and day, and therefore the same image.
"""

import io
import itertools
import posixpath
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from workers.errors import PermanentError

MODELS = "/models"
"""The model folder of tensorflow/serving; https://www.tensorflow.org/tfx/serving/docker"""


def dockerfile(*, base: str, model: str, labels: Mapping[str, str]) -> str:
    """Return the Dockerfile of one version.

    The labels come first, because they identify the remains of an interrupted build. The whole tree is copied onto the
    root, because a folder that COPY creates would have the current date in the layer.
    """
    quoted = "".join(f"LABEL {key}={_quoted(labels[key])}\n" for key in sorted(labels))
    return f"FROM {base}\n{quoted}ENV MODEL_NAME={model} MODEL_BASE_PATH={MODELS}\nCOPY root/ /\n"


def write_context(to: IO[bytes], *, dockerfile: str, folder: Path, model: str, version: int) -> None:
    """Write the tar: Dockerfile, and the files of `folder` under root/models/MODEL/VERSION/.

    Entries are sorted by name, owned by root, dated 1970, and readable by all users, because a hardened pod runs as any
    user. Raises PermanentError for an empty folder, and for entries that are neither files nor folders.
    """
    found = sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts)
    if not any(path.is_file() for path in found):
        raise PermanentError(f"There are no files to serve in {folder}.", advice="Train a new version.")
    inside = f"root{MODELS}/{model}/{version}"
    with tarfile.open(fileobj=to, mode="w", format=tarfile.PAX_FORMAT) as tar:
        text = dockerfile.encode()
        tar.addfile(_entry("Dockerfile", size_bytes=len(text)), io.BytesIO(text))
        for parent in itertools.accumulate(inside.split("/"), posixpath.join):
            tar.addfile(_entry(parent, size_bytes=None))
        for path in found:
            name = f"{inside}/{path.relative_to(folder).as_posix()}"
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise PermanentError(f"{path} is neither a file nor a folder, and cannot be part of a model.")
            if path.is_dir():
                tar.addfile(_entry(name, size_bytes=None))
            else:
                with path.open("rb") as file:
                    tar.addfile(_entry(name, size_bytes=path.stat().st_size), file)


def _entry(name: str, *, size_bytes: int | None) -> tarfile.TarInfo:
    """Return the entry of a file of `size_bytes`, or of a folder (None), with TarInfo's date 1970 and owner root."""
    entry = tarfile.TarInfo(name)
    if size_bytes is None:
        entry.mode, entry.type = 0o755, tarfile.DIRTYPE
    else:
        entry.mode, entry.size = 0o644, size_bytes
    return entry


def _quoted(value: str) -> str:
    """Quote a label's value for the Dockerfile's parser, which also replaces variables in labels.

    https://docs.docker.com/reference/dockerfile/#label and #environment-replacement
    """
    return '"' + re.sub(r'([\\"$])', r"\\\1", re.sub(r"\s+", " ", value)) + '"'
