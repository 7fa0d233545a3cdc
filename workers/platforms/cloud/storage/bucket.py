"""A Cloud Storage bucket as the registry uses it: objects are created once, listed and read; none is ever overwritten.

The only module that calls google-cloud-storage; its errors end here. Every call has a deadline. Never to overwrite
is also the smaller right: storage.objects.delete is needed for nothing
(https://cloud.google.com/storage/docs/access-control/iam-json).
"""

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import google_crc32c
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.google_login import LOG_IN
from workers.platforms.cloud.storage.errors import ROLES, create, translated_errors
from workers.platforms.cloud.storage.locations import colocated

SILENCE_S = 10.0
"""How long one request may go without an answer."""
PATIENCE_S = 20.0
"""How long a request is repeated (connection lost, 408, 429, 5xx), with growing pauses."""
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object as it was listed: `generation` names this very content, `crc32c` is base64 as in the JSON API."""

    name: str
    generation: int
    crc32c: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Bucket:
    """gs://`name`. `project` and `location` are where it is made if need be; `client` is for tests.

    Methods raise PermanentError (rights, credentials, no such bucket) or TemporaryError (the network, Google).
    """

    def __init__(
        self,
        *,
        name: str,
        project: str | None = None,
        location: str | None = None,
        client: "storage.Client | None" = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.url = f"gs://{name}"
        self.project = project
        self.wanted_location = location
        self._name = name
        self._given = client
        self._client: Any = None
        self._retry: Retry = DEFAULT_RETRY.with_timeout(patience_s)
        self._known = False

    def ensure(self) -> None:
        """Make the bucket where there is none; uniform access, versions kept. Nothing is asked a second time.

        Raises PermanentError where it lies so that BigQuery could not export into it.
        """
        if self._known:
            return
        location = self.location() or self._make()
        if self.wanted_location and not colocated(dataset=self.wanted_location, bucket=location):
            raise PermanentError(
                f"{self.url} is in {location} and the dataset in {self.wanted_location}: BigQuery exports a model"
                " only into a bucket of its dataset's location.",
                advice="Name another bucket in artifacts, or another dataset in warehouse, of seatrial.toml.",
            )
        self._known = True

    def location(self) -> str | None:
        """Where the bucket lies ("US", "EUROPE-WEST4"), or None where there is no such bucket."""
        with self._told("read the bucket"):
            try:
                found = self._connected().get_bucket(self._name, timeout=SILENCE_S, retry=self._retry)
            except exceptions.NotFound:
                return None
            return str(found.location)

    def _make(self) -> str:
        advice = create(self.url, project=self.project, location=self.wanted_location)
        with self._told("create the bucket", advice=advice):
            bucket = self._connected().bucket(self._name)
            bucket.iam_configuration.uniform_bucket_level_access_enabled = True
            bucket.versioning_enabled = True
            try:
                made = self._connected().create_bucket(
                    bucket, project=self.project, location=self.wanted_location, timeout=SILENCE_S, retry=self._retry
                )
            except exceptions.Conflict:
                # Another worker made it in between, or it is somebody else's: then reading it is refused.
                made = self._connected().get_bucket(self._name, timeout=SILENCE_S, retry=self._retry)
            return str(made.location)

    def create(self, name: str, content: bytes, *, labels: Mapping[str, str] | None = None) -> bool:
        """Create the object `name`; False, and nothing done, where there is one already.

        https://cloud.google.com/storage/docs/request-preconditions: generation 0 is met by no object. A request that
        is repeated after its answer was lost finds its own object: False does not say whose it is.
        """
        with self._told("create an object"):
            blob = self._connected().bucket(self._name).blob(name)
            blob.metadata = dict(labels or {})
            try:
                blob.upload_from_string(
                    content,
                    content_type="application/json",
                    if_generation_match=0,
                    timeout=SILENCE_S,
                    retry=self._retry,
                )
            except exceptions.PreconditionFailed:
                return False
            return True

    def objects(self, prefix: str) -> list[Stored]:
        """All live objects whose names begin with `prefix`; none where there is no bucket. Listing is consistent."""
        fields = "items(name,generation,crc32c,metadata),nextPageToken"
        with self._told("list objects"):
            listed = self._connected().list_blobs(
                self._name, prefix=prefix, fields=fields, timeout=SILENCE_S, retry=self._retry
            )
            try:
                return [
                    Stored(name=blob.name, generation=blob.generation, crc32c=blob.crc32c, labels=blob.metadata or {})
                    for blob in listed
                ]
            except exceptions.NotFound:
                return []

    def read(self, name: str) -> bytes | None:
        """The content of a small object, or None where there is none."""
        with self._told("read an object"):
            blob = self._connected().bucket(self._name).blob(name)
            try:
                content: bytes = blob.download_as_bytes(timeout=SILENCE_S, retry=self._retry)
            except exceptions.NotFound:
                return None
            return content

    def fetch(self, stored: Stored, path: Path, *, arriving: Path) -> str:
        """Bring `stored` to `path`, unless it is there already; the SHA-256 of its content in hexadecimal.

        `arriving` is a folder for what is not whole yet. What arrived damaged is told by its CRC32C and raises
        TemporaryError (https://cloud.google.com/storage/docs/data-validation).
        """
        with self._told("read an object"):
            if path.is_file() and not path.is_symlink() and (measured := _measure(path))[1] == stored.crc32c:
                return measured[0]
            for folder in (arriving, path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            blob = self._connected().bucket(self._name).blob(stored.name, generation=stored.generation)
            with NamedTemporaryFile(dir=arriving, delete=False) as file:
                partial = Path(file.name)
                try:
                    blob.download_to_file(file, timeout=SILENCE_S, retry=self._retry)
                    file.flush()
                    hexadecimal, crc32c = _measure(partial)
                    if crc32c != stored.crc32c:
                        raise TemporaryError(f"{self.url}/{stored.name} arrived damaged.")
                    partial.chmod(0o644)
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)
            return hexadecimal

    def keep_only(self, names: Collection[str], folder: Path) -> None:
        """Remove from `folder` what is not one of the files `names`, relative to it."""
        with self._told("keep files"):
            for path in folder.rglob("*"):
                if path.relative_to(folder).as_posix() not in names and (path.is_symlink() or not path.is_dir()):
                    path.unlink(missing_ok=True)

    def missing_rights(self) -> list[str] | None:
        """Those of ROLES' permissions that this worker does not have, None where there is no such bucket.

        Asking needs no right itself: https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions
        """
        with self._told("ask for rights"):
            bucket = self._connected().bucket(self._name)
            try:
                have = bucket.test_iam_permissions(list(ROLES), timeout=SILENCE_S, retry=self._retry)
            except exceptions.NotFound:
                return None
            return [permission for permission in ROLES if permission not in have]

    def account(self) -> str:
        """The e-mail address of the service account that this worker is, or "" for a person or where unknown."""
        with self._told("log in"):
            # The public way to it, google.auth.default(), is another look for credentials, and not the client's.
            email = str(getattr(self._connected()._credentials, "service_account_email", None) or "")
            return email if "@" in email else ""

    @contextmanager
    def _told(self, doing: str, *, advice: str = "") -> Iterator[None]:
        """See `told`. A login that Google does not take is forgotten: the next call finds what is there then."""
        try:
            with translated_errors(self.url, doing, advice=advice):
                yield
        except PermanentError as error:
            if error.advice == LOG_IN:
                self._client = None
            raise

    def _connected(self) -> Any:
        """The client, made when it is first needed: credentials from Application Default Credentials."""
        if self._given is not None:
            return self._given
        if self._client is None:
            # Told None, the client would not look for a project in the credentials.
            self._client = storage.Client(project=self.project) if self.project else storage.Client()
        return self._client


def _measure(path: Path) -> tuple[str, str]:
    """SHA-256 in hexadecimal and CRC32C in base64, as the JSON API writes it, of a file's content."""
    sha, crc32c = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
    return sha.hexdigest(), b64encode(crc32c.to_bytes(4, "big")).decode()
