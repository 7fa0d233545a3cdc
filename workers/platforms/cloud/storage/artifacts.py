"""Registry of versions in a bucket:

    PREFIX/MODEL/claims/N.json     the job that claimed the number N, also in the object's metadata
    PREFIX/MODEL/N/attempts/K.json an attempt at staging N
    PREFIX/MODEL/N/files/K/…       the files of that attempt
    PREFIX/MODEL/N/manifest.json   written last: it publishes the version, and names K
    PREFIX/_reports/PLACE/T-J.json a load test's report, of time T and job J

Objects are created and never overwritten, each with the precondition that it does not exist (generation 0). Any number
of workers may race. Abandoned uploads are kept, and version numbers are never reused. A lifecycle rule can delete old
reports (https://cloud.google.com/storage/docs/lifecycle).
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workers.errors import PermanentError
from workers.platforms import registry
from workers.platforms.cloud.storage.bucket import Bucket, Stored
from workers.platforms.protocols import Finding, Manifest

DOWNLOADS = 8
"""Parallel downloads: below the 10 connections to a host that `requests` keeps open."""

KEPT = 5
"""Cached versions of a model: enough for a rollout, its undo, and one or two comparisons."""
IN_USE_S = 24 * 3600.0
"""The time that a cached version counts as in use: longer than any job."""

_DAMAGED = "The bucket keeps earlier versions of the object: restore one; or delete it to withdraw the version."


class GcsArtifacts:
    """Implements Artifacts with the folder `prefix` of `bucket`. Reads files through the local folder `cache`.

    The first claim creates a missing bucket. The cache may be deleted while no job runs.
    """

    def __init__(self, *, bucket: Bucket, prefix: str, cache: Path) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._cache = cache

    @classmethod
    def open(cls, *, bucket: str, prefix: str, project: str, location: str, cache: Path) -> "GcsArtifacts":
        """Return the registry in gs://`bucket`; see Bucket."""
        return cls(bucket=Bucket(bucket, project=project, location=location), prefix=prefix, cache=cache)

    def claim(self, *, model: str, job_id: str) -> int:
        """Claim the number after the highest claimed one, or return the number that `job_id` has.

        The first claim creates or checks the bucket. Raises PermanentError if BigQuery cannot export into it.
        """
        registry.check_model(model)
        self._bucket.ensure()
        while True:
            claims = self._claims(model)
            for number, holder in claims.items():
                if holder == job_id:
                    return number
            number = max(claims, default=0) + 1
            content = json.dumps({"job_id": job_id}).encode()
            if self._bucket.create(self._claim_name(model, number), content, labels={"job_id": job_id}):
                return number

    def staging(self, *, model: str, version: int) -> str:
        """Return a new address, "gs://BUCKET/PREFIX/MODEL/N/files/K"."""
        registry.check_version(model=model, version=version)
        if self._bucket.read(self._claim_name(model, version)) is None:
            raise PermanentError(f"{model} v{version} was never claimed.", advice="Train the model.")
        while True:
            attempt = self._newest_attempt(model, version) + 1
            if self._bucket.create(f"{self._folder(model, version)}attempts/{attempt}.json", b"{}"):
                return f"{self._bucket.url}/{self._folder(model, version)}files/{attempt}"

    def describe(self, *, model: str, version: int) -> tuple[str, int]:
        """Download the newest staged files and return digest and size. Raises PermanentError without files."""
        registry.check_version(model=model, version=version)
        folder, contents = self._fetch(model, version, self._newest_attempt(model, version))
        if not contents:
            raise PermanentError(f"{model} v{version} has no files to publish.", advice="Train a new version.")
        return registry.digest(contents), sum((folder / name).stat().st_size for name in contents)

    def publish(self, *, manifest: Manifest) -> None:
        """Create the manifest if it does not exist. A second call changes nothing.

        Raises PermanentError if the staged or published files do not have `manifest.digest`.
        """
        model, version, what = manifest.model, manifest.version, f"{manifest.model} v{manifest.version}"
        registry.check_version(model=model, version=version)
        written = registry.write_manifest(manifest)
        name = self._manifest_name(model, version)
        if self._bucket.read(name) is None:
            attempt = self._newest_attempt(model, version)
            _, contents = self._fetch(model, version, attempt)
            if not contents or registry.digest(contents) != manifest.digest:
                raise PermanentError(f"{what}: the files do not match the manifest.", advice="Train a new version.")
            whole = json.dumps(json.loads(written) | {"attempt": attempt}, indent=2).encode()
            if self._bucket.create(name, whole):
                return
        if self.manifest(model=model, version=version).digest != manifest.digest:
            raise PermanentError(f"{what} is published already, with other files.", advice="Train a new version.")

    def versions(self, *, model: str) -> Sequence[Manifest]:
        """Return all published versions, oldest first. Raises PermanentError for an unreadable manifest.

        Skipping such a version would make the list wrong, because the version may run in production.
        """
        registry.check_model(model)
        numbers = list(self._claims(model))
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            found = pool.map(lambda number: self._published(model, number), numbers)
            return [published[0] for published in found if published]

    def manifest(self, *, model: str, version: int) -> Manifest:
        """Return the manifest of a published version. Raises PermanentError if it is missing or unreadable."""
        registry.check_version(model=model, version=version)
        published = self._published(model, version)
        if published is None:
            raise self._missing(model, version)
        return published[0]

    def folder(self, *, model: str, version: int) -> Path:
        """Return the cache folder with the version's files, or with the newest staged files before publication.

        Raises PermanentError if the files do not have the manifest's digest.
        """
        registry.check_version(model=model, version=version)
        published = self._published(model, version)
        if published is None:
            if attempt := self._newest_attempt(model, version):
                return self._fetch(model, version, attempt)[0]
            raise self._missing(model, version)
        manifest, attempt = published
        folder, contents = self._fetch(model, version, attempt)
        if (found := registry.digest(contents)) != manifest.digest:
            raise PermanentError(
                f"{model} v{version}: the files in {self._bucket.url}/{self._folder(model, version)}files/{attempt}"
                f" have changed since the publication ({', '.join(contents) or 'no files'}: {found:.19}…,"
                f" was {manifest.digest:.19}…).",
                advice="The bucket keeps earlier versions of its objects: restore them, or train a new version.",
            )
        return folder

    def keep_report(self, *, place: str, job_id: str, at_s: float, report: Mapping[str, Any]) -> None:
        """Create an object for the report. The newest report of a job counts.

        Raises PermanentError if the report is not valid JSON.
        """
        name = f"{self._prefix}{registry.reports_folder(place)}/{registry.report_name(job_id=job_id, at_s=at_s)}"
        content = registry.write_report(report)
        self._bucket.ensure()
        self._bucket.create(name, content)

    def reports(self, *, place: str, newest: int) -> Sequence[Mapping[str, Any]]:
        """Return the `newest` reports, newest first, without damaged ones."""
        folder = f"{self._prefix}{registry.reports_folder(place)}/"
        names = registry.newest_reports(one.name.removeprefix(folder) for one in self._bucket.objects(folder))
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            written = pool.map(lambda name: self._bucket.read(folder + name), names[:newest])
            found = [registry.read_report(content) for content in written if content is not None]
        return [report for report in found if report is not None]

    def diagnose(self) -> Iterator[Finding]:
        """Check that the bucket is reachable, in the right location, and which permissions are missing."""
        return self._bucket.diagnose()

    def _published(self, model: str, version: int) -> tuple[Manifest, int] | None:
        """Return the manifest and the attempt with the version's files, or None for an unpublished version."""
        name = self._manifest_name(model, version)
        written = self._bucket.read(name)
        if written is None:
            return None
        source = f"{self._bucket.url}/{name}"
        manifest = registry.read_manifest(written, source=source, advice=_DAMAGED)
        if (manifest.model, manifest.version) != (model, version):
            what = f"{source} is the manifest of another version, {manifest.model} v{manifest.version}."
            raise PermanentError(what, advice="Delete the object: it was copied there.")
        attempt = json.loads(written).get("attempt")
        if not isinstance(attempt, int):
            raise PermanentError(f"{source} is damaged: attempt is missing.", advice=_DAMAGED)
        return manifest, attempt

    def _missing(self, model: str, version: int) -> PermanentError:
        claims = self._claims(model)
        have = ", ".join(f"v{manifest.version}" for manifest in self.versions(model=model)) or "no version yet"
        what = f"There is no {model} v{version}."
        if version in claims:
            what = f"{model} v{version} was never published: job {claims[version]} claimed it."
        return PermanentError(what, advice=f"{model} has {have}.")

    def _fetch(self, model: str, version: int, attempt: int) -> tuple[Path, dict[str, str]]:
        """Return the cache folder with the attempt's files, and the SHA-256 of each by relative name."""
        prefix = f"{self._folder(model, version)}files/{attempt}/"
        folder = self._cache / model / str(version) / str(attempt)
        # TensorFlow marks folders with empty objects. Their names end with a slash.
        stored = {one.name.removeprefix(prefix): one for one in self._bucket.objects(prefix) if one.name[-1] != "/"}
        for name in stored:
            if any(part in ("", ".", "..") for part in re.split(r"[/\\\0]", name)):
                what = f"{self._bucket.url}/{prefix}{name!r} is not a file's name."
                raise PermanentError(what, advice="Train again.")
        self._bucket.keep_only(stored, folder)
        partial = self._cache / ".partial"
        with contextlib.suppress(OSError):  # the download reports an unwritable folder
            os.utime(folder.parent)
        for downloads in (folder.parent.parent, partial):
            _remove_unused(downloads)
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            fetched = pool.map(lambda name: self._bucket.fetch(stored[name], folder / name, partial=partial), stored)
            return folder, dict(zip(stored, fetched, strict=True))

    def _claims(self, model: str) -> dict[int, str]:
        """Return all claimed numbers, ascending, with the jobs that claimed them."""
        claims = self._numbered(f"{self._prefix}{model}/claims/")
        return {number: one.labels.get("job_id", "") for number, one in claims.items()}

    def _newest_attempt(self, model: str, version: int) -> int:
        """Return the highest attempt at staging, or 0."""
        return max(self._numbered(f"{self._folder(model, version)}attempts/"), default=0)

    def _numbered(self, prefix: str) -> dict[int, Stored]:
        """Return the objects PREFIX/N.json by N, ascending."""
        pattern = re.compile(re.escape(prefix) + r"([1-9][0-9]*)\.json")
        found = {int(match[1]): one for one in self._bucket.objects(prefix) if (match := pattern.fullmatch(one.name))}
        return dict(sorted(found.items()))

    def _claim_name(self, model: str, version: int) -> str:
        return f"{self._prefix}{model}/claims/{version}.json"

    def _manifest_name(self, model: str, version: int) -> str:
        return f"{self._folder(model, version)}manifest.json"

    def _folder(self, model: str, version: int) -> str:
        return f"{self._prefix}{model}/{version}/"


def _remove_unused(parent: Path) -> None:
    """Remove all but the KEPT last used entries of `parent` and those used within IN_USE_S.

    Skips entries that cannot be removed, or that another worker removes.
    """
    used_at_s: dict[Path, float] = {}
    for entry in parent.glob("*"):
        with contextlib.suppress(OSError):
            used_at_s[entry] = entry.lstat().st_mtime
    for entry in sorted(used_at_s, key=lambda entry: -used_at_s[entry])[KEPT:]:
        if time.time() - used_at_s[entry] > IN_USE_S:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    entry.unlink()
