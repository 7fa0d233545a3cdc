"""Registry of versions in a folder: ROOT/MODEL/N/ has claim.json, the files under files/, and manifest.json.

A version exists once its manifest, which is written last, exists. Folders without one are abandoned claims. They are
kept, because version numbers are never reused. All processes of a machine may use one ROOT at once.

Load test reports are stored in ROOT/_reports/PLACE/TIME-JOB.json.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from workers.errors import PermanentError
from workers.platforms.embedded.errors import translated_errors
from workers.platforms.protocols import Manifest
from workers.platforms.registry import (
    check_model,
    check_version,
    digest,
    newest_reports,
    read_manifest,
    read_report,
    report_name,
    reports_folder,
    write_manifest,
    write_report,
)

MAX_REPORTS = 500
"""Newest reports kept per place: more than a year of nightly tests, in a few megabytes."""


class EmbeddedArtifacts:
    """Implements Artifacts with a folder, which is created on first use."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    @translated_errors()
    def claim(self, *, model: str, job_id: str) -> int:
        folder = self._model_folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        with _opened(folder) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # excludes all other processes until the descriptor is closed
            numbers = _numbers(folder)
            for number in numbers:
                if _claimed_by(folder / str(number)) == job_id:
                    return number
            number = max(numbers, default=0) + 1
            claiming = folder / ".claiming"
            shutil.rmtree(claiming, ignore_errors=True)  # left by a process that was killed before it got a number
            claiming.mkdir()
            _write(claiming / "claim.json", json.dumps({"job_id": job_id}).encode())
            claiming.rename(folder / str(number))
            _sync(folder)
        return number

    @translated_errors()
    def staging(self, *, model: str, version: int) -> str:
        """Create an empty staging folder in the version's folder; see Artifacts."""
        staging = self._version_folder(model, version) / "staging"
        if not staging.parent.is_dir():
            raise PermanentError(f"{model} v{version} was never claimed.", advice="Train the model.")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        return str(staging)

    @translated_errors()
    def describe(self, *, model: str, version: int) -> tuple[str, int]:
        files = _files(self._version_folder(model, version) / "staging")
        if not files:
            raise PermanentError(f"{model} v{version} has no files to publish.", advice="Train a new version.")
        return _digest(files), sum(path.stat().st_size for path in files.values())

    @translated_errors()
    def publish(self, *, manifest: Manifest) -> None:
        """Move the staged files into place, then write the manifest; see Artifacts."""
        folder = self._version_folder(manifest.model, manifest.version)
        version = f"{manifest.model} v{manifest.version}"
        written = write_manifest(manifest)
        if (folder / "manifest.json").exists():
            if self.manifest(model=manifest.model, version=manifest.version).digest != manifest.digest:
                raise PermanentError(f"{version} is already published with other files.", advice="Train a new version.")
            shutil.rmtree(folder / "staging", ignore_errors=True)
            return
        # An attempt that died between the move and the manifest left the files in place and no staging folder.
        source = folder / "staging" if (folder / "staging").exists() else folder / "files"
        if not (files := _files(source)) or _digest(files) != manifest.digest:
            raise PermanentError(f"{version}: the files do not match its manifest.", advice="Train a new version.")
        for path in {*files.values(), *(path.parent for path in files.values())}:
            _sync(path)
        if source.name == "staging":
            shutil.rmtree(folder / "files", ignore_errors=True)
            source.rename(folder / "files")
        _write(folder / "manifest.json", written)

    @translated_errors()
    def versions(self, *, model: str) -> Sequence[Manifest]:
        """See Artifacts. A damaged manifest is not skipped: it may describe the version in production."""
        folder = self._model_folder(model)
        published = [number for number in _numbers(folder) if (folder / str(number) / "manifest.json").exists()]
        return [self.manifest(model=model, version=number) for number in published]

    @translated_errors()
    def manifest(self, *, model: str, version: int) -> Manifest:
        path = self._version_folder(model, version) / "manifest.json"
        try:
            written = path.read_bytes()
        except FileNotFoundError as error:
            raise self._missing(model, version) from error
        advice = "Restore the file, or delete it to withdraw the version."
        manifest = read_manifest(written, source=str(path), advice=advice)
        if (manifest.model, manifest.version) != (model, version):
            problem = f"{path} is the manifest of another version, {manifest.model} v{manifest.version}."
            raise PermanentError(problem, advice="Move the folder back.")
        return manifest

    @translated_errors()
    def folder(self, *, model: str, version: int) -> Path:
        version_folder = self._version_folder(model, version)
        if (version_folder / "staging").is_dir() and not (version_folder / "manifest.json").exists():
            return version_folder / "staging"
        manifest = self.manifest(model=model, version=version)
        folder = version_folder / "files"
        files = _files(folder)
        if (found := _digest(files)) != manifest.digest:
            raise PermanentError(
                f"{model} v{version}: the files in {folder} have changed since they were published"
                f" (found {', '.join(files) or 'no file'}: {found:.19}…, published {manifest.digest:.19}…).",
                advice="Restore the folder, or train a new version.",
            )
        return folder

    @translated_errors()
    def keep_report(self, *, place: str, job_id: str, at_s: float, report: Mapping[str, Any]) -> None:
        """Write the report, then delete the job's earlier one and all but the newest MAX_REPORTS; see Artifacts."""
        folder = self._root / reports_folder(place)
        path, content = folder / report_name(job_id=job_id, at_s=at_s), write_report(report)
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, content)
        names = [path.name for path in folder.glob("*.json")]
        for name in set(names) - set(newest_reports(names)[:MAX_REPORTS]):
            (folder / name).unlink(missing_ok=True)

    @translated_errors()
    def reports(self, *, place: str, newest: int) -> Sequence[Mapping[str, Any]]:
        folder = self._root / reports_folder(place)
        names = newest_reports(path.name for path in folder.glob("*.json"))
        return [report for name in names[:newest] if (report := _read(folder / name)) is not None]

    def _missing(self, model: str, version: int) -> PermanentError:
        folder = self._version_folder(model, version)
        published = ", ".join(f"v{manifest.version}" for manifest in self.versions(model=model)) or "no version yet"
        problem = f"There is no {model} v{version}."
        if folder.is_dir():
            problem = f"{model} v{version} was never published: job {_claimed_by(folder)} claimed it."
        return PermanentError(problem, advice=f"{model} has {published}.")

    def _model_folder(self, model: str) -> Path:
        check_model(model)
        return self._root / model

    def _version_folder(self, model: str, version: int) -> Path:
        check_version(model=model, version=version)
        return self._root / model / str(version)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _numbers(folder: Path) -> list[int]:
    """Return all numbers ever claimed in a model's folder, ascending."""
    return sorted(int(path.name) for path in folder.glob("*") if re.fullmatch(r"[1-9][0-9]*", path.name))


def _claimed_by(folder: Path) -> str | None:
    """Return the job that claimed the folder, or None if the claim cannot be read."""
    try:
        job_id: str = json.loads((folder / "claim.json").read_bytes())["job_id"]
        return job_id
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _files(folder: Path) -> dict[str, Path]:
    """Return all files under `folder` by relative name, sorted. Raises PermanentError for links and devices."""
    paths = sorted(folder.rglob("*"))
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PermanentError(f"{path} is not a regular file.", advice="Replace it by a copy of the file.")
    return {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}


def _digest(files: dict[str, Path]) -> str:
    contents = {}
    for name, path in files.items():
        with path.open("rb") as file:
            contents[name] = file_digest(file, "sha256").hexdigest()
    return digest(contents)


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return a stored report, or None if it is damaged or was just deleted."""
    try:
        return read_report(path.read_bytes())
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    """Replace `path` atomically and durably."""
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(descriptor)
    new = Path(name)
    try:
        new.write_bytes(content)
        _sync(new)
        new.replace(path)
    except OSError as error:
        new.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error  # "disk full" does not name the file
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)
