"""A Cloud Storage bucket for the registry: objects are created once, listed and read, and never overwritten.

Only this module calls google-cloud-storage. Every call has a deadline. Because the registry overwrites no object, it
does not need storage.objects.delete (https://cloud.google.com/storage/docs/access-control/iam-json).
"""

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import google_crc32c
from google.api_core import exceptions
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY

from workers.contract.findings import Finding
from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.cloud.google_login import LOG_IN
from workers.platforms.cloud.storage.errors import ROLES, create, grant, translated_errors

SILENCE_S = 10.0
"""The longest wait for the response to one request."""
PATIENCE_S = 20.0
"""The time during which a request is retried (lost connection, 408, 429, 5xx), with growing pauses."""
_BLOCK_BYTES = 1024 * 1024
_REGIONS_OF = {"US": ("US-",), "EU": ("EUROPE-",)}
_MULTI_REGIONS_OF = {"US": ("US", "NAM4"), "EU": ("EU", "EUR4")}


@dataclass(frozen=True, slots=True)
class Stored:
    """A listed object. `generation` identifies its content. `crc32c` is in base64, like in the JSON API."""

    name: str
    generation: int
    crc32c: str
    labels: Mapping[str, str]


class Bucket:
    """gs://`name`, created in `project` and `location` if it is missing. Lasting faults are retried for `patience_s`.

    `location` is that of the dataset, to which BigQuery must be able to export ("": anywhere). `client` is for tests.
    Methods raise PermanentError (permissions, credentials, missing bucket) or TemporaryError (network, Google).
    """

    def __init__(
        self, name: str, *, project: str = "", location: str = "", client: Any = None, patience_s: float = PATIENCE_S
    ) -> None:
        self.url = f"gs://{name}"
        self._name, self._project, self._location = name, project, location
        self._client = client
        self._limits: Mapping[str, Any] = {"timeout": SILENCE_S, "retry": DEFAULT_RETRY.with_timeout(patience_s)}
        self._known = False

    def ensure(self) -> None:
        """Create the bucket if it is missing, with uniform access and object versions. A second call does no request.

        Raises PermanentError if BigQuery cannot export to its location.
        """
        if self._known:
            return
        location = self._found_location() or self._create()
        if self._location and not colocated(dataset=self._location, bucket=location):
            raise PermanentError(
                f"{self.url} is in {location} and the dataset in {self._location}: BigQuery exports a model"
                " only into a bucket of its dataset's location.",
                advice="Change artifacts or warehouse in seatrial.toml to one location.",
            )
        self._known = True

    def _found_location(self) -> str | None:
        """Return the bucket's location ("US", "EUROPE-WEST4"), or None if it does not exist."""
        with self._translated_errors("read the bucket"):
            try:
                return str(self._connected().get_bucket(self._name, **self._limits).location)
            except exceptions.NotFound:
                return None

    def _create(self) -> str:
        advice = create(self.url, project=self._project, location=self._location)
        with self._translated_errors("create the bucket", advice=advice):
            bucket = self._connected().bucket(self._name)
            bucket.iam_configuration.uniform_bucket_level_access_enabled = True
            bucket.versioning_enabled = True
            try:
                place = {"project": self._project or None, "location": self._location or None}
                created = self._connected().create_bucket(bucket, **place, **self._limits)
            except exceptions.Conflict:
                # Another worker created it meanwhile. If it belongs to another project, reading it is refused.
                created = self._connected().get_bucket(self._name, **self._limits)
            return str(created.location)

    def create(self, name: str, content: bytes, *, labels: Mapping[str, str] | None = None) -> bool:
        """Create the object `name`. Return False if it exists.

        Generation 0 means that the object must not exist (https://cloud.google.com/storage/docs/request-preconditions).
        A retry after a lost response finds its own object and also returns False.
        """
        with self._translated_errors("create an object"):
            blob = self._connected().bucket(self._name).blob(name)
            blob.metadata = dict(labels or {})
            try:
                blob.upload_from_string(content, content_type="application/json", if_generation_match=0, **self._limits)
                return True
            except exceptions.PreconditionFailed:
                return False

    def objects(self, prefix: str) -> list[Stored]:
        """Return all live objects with the name prefix, or an empty list without the bucket. Listing is consistent."""
        fields = "items(name,generation,crc32c,metadata),nextPageToken"
        with self._translated_errors("list objects"):
            listed = self._connected().list_blobs(self._name, prefix=prefix, fields=fields, **self._limits)
            try:
                return [Stored(blob.name, blob.generation, blob.crc32c, blob.metadata or {}) for blob in listed]
            except exceptions.NotFound:
                return []

    def read(self, name: str) -> bytes | None:
        """Return the content of a small object, or None if it does not exist."""
        with self._translated_errors("read an object"):
            blob = self._connected().bucket(self._name).blob(name)
            try:
                return bytes(blob.download_as_bytes(**self._limits))
            except exceptions.NotFound:
                return None

    def fetch(self, stored: Stored, path: Path, *, partial: Path) -> str:
        """Download `stored` to `path` unless it is there, and return the SHA-256 of its content in hexadecimal.

        `partial` is a folder for incomplete files. Raises TemporaryError if the CRC32C differs
        (https://cloud.google.com/storage/docs/data-validation).
        """
        with self._translated_errors("read an object"):
            if path.is_file() and not path.is_symlink() and (measured := _measure(path))[1] == stored.crc32c:
                return measured[0]
            for folder in (partial, path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            blob = self._connected().bucket(self._name).blob(stored.name, generation=stored.generation)
            with NamedTemporaryFile(dir=partial, delete=False) as file:
                incomplete = Path(file.name)
                try:
                    blob.download_to_file(file, **self._limits)
                    file.flush()
                    hexadecimal, crc32c = _measure(incomplete)
                    if crc32c != stored.crc32c:
                        raise TemporaryError(f"The download of {self.url}/{stored.name} was damaged.")
                    incomplete.chmod(0o644)
                    incomplete.replace(path)
                finally:
                    incomplete.unlink(missing_ok=True)
            return hexadecimal

    def keep_only(self, names: Collection[str], folder: Path) -> None:
        """Remove all files from `folder` but `names`, which are relative to it."""
        with self._translated_errors("keep files"):
            for path in folder.rglob("*"):
                if path.relative_to(folder).as_posix() not in names and (path.is_symlink() or not path.is_dir()):
                    path.unlink(missing_ok=True)

    def diagnose(self) -> Iterator[Finding]:
        """Check the connection, each permission in ROLES, and the location, without a change."""
        try:
            have = self._rights()
            if have is None:
                advice = create(self.url, project=self._project, location=self._location)
                yield Finding(what=f"{self.url} does not exist", ok=False, advice=advice)
                return
            yield Finding(what=f"{self.url} is reachable", ok=True)
            account = self._account()
            for permission in ROLES:
                advice = grant(self.url, permission, account=account)
                yield Finding(what=f"{permission} on {self.url}", ok=permission in have, advice=advice)
            if "storage.buckets.get" in have:
                self.ensure()
                yield Finding(what=f"{self.url} is in {self._found_location()}", ok=True)
        except JobError as error:
            advice = getattr(error, "advice", "Check the connection to storage.googleapis.com.")
            yield Finding(what=str(error).rstrip("."), ok=False, advice=advice)

    def _rights(self) -> Collection[str] | None:
        """Return the permissions in ROLES that this worker has, or None if the bucket does not exist.

        The request needs no permission: https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions
        """
        with self._translated_errors("test permissions"):
            bucket = self._connected().bucket(self._name)
            try:
                return list(bucket.test_iam_permissions(list(ROLES), **self._limits))
            except exceptions.NotFound:
                return None

    def _account(self) -> str:
        """Return the e-mail address of the worker's service account, or "" for a person or if it is unknown."""
        with self._translated_errors("log in"):
            # The public way, google.auth.default(), would look for credentials again, and may find others.
            email = str(getattr(self._connected()._credentials, "service_account_email", None) or "")
            return email if "@" in email else ""

    @contextmanager
    def _translated_errors(self, doing: str, *, advice: str = "") -> Iterator[None]:
        """Translate errors, and drop a client with invalid credentials. The next call looks for new ones."""
        try:
            with translated_errors(self.url, doing, advice=advice):
                yield
        except PermanentError as error:
            if error.advice == LOG_IN:
                self._client = None
            raise

    def _connected(self) -> Any:
        """Return the client. The first call creates it with Application Default Credentials."""
        if self._client is None:
            # Passing project=None would disable the lookup in the credentials.
            self._client = Client(project=self._project) if self._project else Client()
        return self._client


def _measure(path: Path) -> tuple[str, str]:
    """Return a file's SHA-256 in hexadecimal and its CRC32C in base64, like the JSON API."""
    sha, crc32c = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
    return sha.hexdigest(), b64encode(crc32c.to_bytes(4, "big")).decode()


def colocated(*, dataset: str, bucket: str) -> bool:
    """Return True if BigQuery can export from location `dataset` to location `bucket` (names in any case).

    A region exports to the same region. A multi-region exports to itself or to a region in it:
    https://cloud.google.com/bigquery/docs/exporting-data#data-locations.
    """
    dataset, bucket = dataset.upper(), bucket.upper()
    if dataset not in _REGIONS_OF:
        return bucket == dataset
    return bucket in _MULTI_REGIONS_OF[dataset] or bucket.startswith(_REGIONS_OF[dataset])
