"""The registry of versions in a folder: ROOT/MODEL/N/ holds claim.json, the files under files/, and manifest.json.

What makes a version is its manifest, written last; a folder without one is a claim that was never fulfilled, and
stays, so that its number is never given again. All processes of one machine may use one ROOT at once.

Reports of load tests lie beside the models, in ROOT/_reports/PLACE/TIME-JOB.json.
"""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workers.errors import PermanentError
from workers.platforms.embedded.errors import on_disk
from workers.platforms.protocols.artifacts import Manifest
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

MOST_REPORTS = 500
"""Reports kept of one place, the newest: more than a year of nights, in some megabytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    """claim.json: who took the number."""

    job_id: str


_CLAIM = TypeAdapter(_Claim)


class EmbeddedArtifacts:
    """Implements Artifacts with a folder, made when it is first needed."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    @on_disk()
    def claim(self, *, model: str, job_id: str) -> int:
        """The number after the highest that was ever claimed, or the one that `job_id` has already."""
        folder = self._model_folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            numbers = _numbers(folder)
            for number in numbers:
                if _claimed_by(folder / str(number)) == job_id:
                    return number
            number = max(numbers, default=0) + 1
            claiming = folder / ".claiming"
            shutil.rmtree(claiming, ignore_errors=True)  # of one that was killed here: no number was spent yet
            claiming.mkdir()
            _write(claiming / "claim.json", _CLAIM.dump_json(_Claim(job_id=job_id)))
            claiming.rename(folder / str(number))
            _sync(folder)
        return number

    @on_disk()
    def staging(self, *, model: str, version: int) -> str:
        """A new, empty folder beside the version's own files, which stay as they are."""
        staging = self._version_folder(model, version) / "staging"
        if not staging.parent.is_dir():
            raise PermanentError(f"{model} v{version} was never claimed.", advice="Train the model.")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        return str(staging)

    @on_disk()
    def describe(self, *, model: str, version: int) -> tuple[str, int]:
        """Digest and size of the staged files. Raises PermanentError when there are none."""
        files = _files(self._version_folder(model, version) / "staging")
        if not files:
            raise PermanentError(f"{model} v{version} has no files to publish.", advice="Train a new version.")
        return digest(_contents(files)), sum(path.stat().st_size for path in files.values())

    @on_disk()
    def publish(self, *, manifest: Manifest) -> None:
        """Move the staged files into place, then write the manifest; a call for a published version changes nothing.

        Raises PermanentError when the files are not those of `manifest.digest`, staged or published.
        """
        folder = self._version_folder(manifest.model, manifest.version)
        what = f"{manifest.model} v{manifest.version}"
        written = write_manifest(manifest)
        if (folder / "manifest.json").exists():
            if self.manifest(model=manifest.model, version=manifest.version).digest != manifest.digest:
                raise PermanentError(f"{what} is published already, with other files.", advice="Train a new version.")
            shutil.rmtree(folder / "staging", ignore_errors=True)
            return
        # An attempt that died between the move and the manifest has left the files in place and nothing staged.
        source = folder / "staging" if (folder / "staging").exists() else folder / "files"
        if not (files := _files(source)) or digest(_contents(files)) != manifest.digest:
            raise PermanentError(f"{what}: the files are not those of its manifest.", advice="Train a new version.")
        for path in {*files.values(), *(path.parent for path in files.values())}:
            _sync(path)
        if source.name == "staging":
            shutil.rmtree(folder / "files", ignore_errors=True)
            source.rename(folder / "files")
        _write(folder / "manifest.json", written)

    @on_disk()
    def versions(self, *, model: str) -> Sequence[Manifest]:
        """All published versions, oldest first. Raises PermanentError for a manifest that cannot be read.

        Such a version is not skipped: it may be what runs in production, and a list without it would be untrue.
        """
        folder = self._model_folder(model)
        published = [number for number in _numbers(folder) if (folder / str(number) / "manifest.json").exists()]
        return [self.manifest(model=model, version=number) for number in published]

    @on_disk()
    def manifest(self, *, model: str, version: int) -> Manifest:
        """One published version's manifest. Raises PermanentError when there is none, or none that can be read."""
        path = self._version_folder(model, version) / "manifest.json"
        try:
            written = path.read_bytes()
        except FileNotFoundError as error:
            raise self._missing(model, version) from error
        manifest = read_manifest(
            written, source=str(path), advice="Restore the file; or delete it to withdraw the version."
        )
        if (manifest.model, manifest.version) != (model, version):
            what = f"{path} is the manifest of another version, {manifest.model} v{manifest.version}."
            raise PermanentError(what, advice="Move the folder back to where it was.")
        return manifest

    @on_disk()
    def folder(self, *, model: str, version: int) -> Path:
        """The version's files, checked against the manifest's digest: changed ones raise PermanentError.

        Before the manifest is written, the staged files.
        """
        version_folder = self._version_folder(model, version)
        if (version_folder / "staging").is_dir() and not (version_folder / "manifest.json").exists():
            return version_folder / "staging"
        manifest = self.manifest(model=model, version=version)
        folder = version_folder / "files"
        files = _files(folder)
        if (found := digest(_contents(files))) != manifest.digest:
            raise PermanentError(
                f"{model} v{version}: the files in {folder} are no longer those that were published"
                f" ({', '.join(files) or 'none'}: {found:.19}…, was {manifest.digest:.19}…).",
                advice="Restore the folder, or train a new version.",
            )
        return folder

    @on_disk()
    def keep_report(self, *, place: str, job_id: str, report: Mapping[str, Any]) -> None:
        """Write the report, then remove an earlier one of the same job, and what is older than the MOST_REPORTS newest.

        Raises PermanentError for what JSON cannot hold.
        """
        folder = self._root / reports_folder(place)
        path, content = folder / report_name(job_id=job_id, at_s=time.time()), write_report(report)
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, content)
        names = [path.name for path in folder.glob("*.json")]
        for name in set(names) - set(newest_reports(names)[:MOST_REPORTS]):
            (folder / name).unlink(missing_ok=True)

    @on_disk()
    def reports(self, *, place: str, newest: int) -> Sequence[Mapping[str, Any]]:
        """The `newest` reports, newest first; damaged ones are left out."""
        folder = self._root / reports_folder(place)
        names = newest_reports(path.name for path in folder.glob("*.json"))
        found = [_read(folder / name) for name in names[:newest]]
        return [report for report in found if report is not None]

    def _missing(self, model: str, version: int) -> PermanentError:
        folder = self._version_folder(model, version)
        have = ", ".join(f"v{manifest.version}" for manifest in self.versions(model=model)) or "no version yet"
        if folder.is_dir():
            what = f"{model} v{version} was never published: job {_claimed_by(folder)} claimed it."
        else:
            what = f"There is no {model} v{version}."
        return PermanentError(what, advice=f"{model} has {have}.")

    def _model_folder(self, model: str) -> Path:
        check_model(model)
        return self._root / model

    def _version_folder(self, model: str, version: int) -> Path:
        check_version(model=model, version=version)
        return self._root / model / str(version)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone among all processes on this machine; the lock goes with the process that holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _numbers(folder: Path) -> list[int]:
    """All numbers ever claimed in a model's folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"[1-9][0-9]*", path.name))


def _claimed_by(folder: Path) -> str | None:
    """The job that claimed the folder; None where that cannot be read."""
    try:
        return _CLAIM.validate_json((folder / "claim.json").read_bytes(), strict=True).job_id
    except (OSError, ValidationError):
        return None


def _files(folder: Path) -> dict[str, Path]:
    """All files under `folder` by relative name, sorted. Raises PermanentError for what is no regular file."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PermanentError(f"{path} is not a regular file.", advice="A version's files are copies, not links.")
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = path
    return files


def _contents(files: dict[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file's content in hexadecimal, by relative name."""
    contents = {}
    for name, path in files.items():
        with path.open("rb") as file:
            contents[name] = file_digest(file, "sha256").hexdigest()
    return contents


def _read(path: Path) -> Mapping[str, Any] | None:
    """A kept report; None where it is damaged, or was removed just now."""
    try:
        return read_report(path.read_bytes())
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all, and lastingly."""
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(descriptor)
    new = Path(name)
    try:
        new.write_bytes(content)
        _sync(new)
        new.replace(path)
    except OSError as error:
        new.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error  # of a full disk it does not say by itself
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
