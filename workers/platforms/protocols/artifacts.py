"""The Protocol of the model store, which is the registry of versions, and its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A version's entry in the registry, kept beside its files as `manifest.json`; written once, last.

    `digest` is "sha256:…" over the files; `query_sha256` over the SQL; `trained_by` is the chat's name for the
    asker; `created_at_s` Unix seconds; `image` the pushed image's digest reference or "".
    """

    model: str
    version: int
    digest: str
    format: str
    size_bytes: int
    metrics: Mapping[str, float]
    query_sha256: str
    training: str
    trained_by: str
    job_id: str
    created_at_s: float
    image: str = ""


class Artifacts(Protocol):
    """The registry of versions: `…/MODEL/N/` with a manifest; a folder, or a Cloud Storage bucket."""

    def claim(self, *, model: str, job_id: str) -> int:
        """The next version number of `model` (1, 2, …), claimed for `job_id`: never reused, never raced.

        A second call for the same job returns the same number.
        """

    def staging(self, *, model: str, version: int) -> str:
        """The address at which the warehouse may write the claimed version's files, empty at this call."""

    def describe(self, *, model: str, version: int) -> tuple[str, int]:
        """Digest ("sha256:…" over names and contents) and size in bytes of the files at the staging address."""

    def publish(self, *, manifest: Manifest) -> None:
        """Make the staged files version `manifest.version`, the manifest last. Repeating it changes nothing."""

    def versions(self, *, model: str) -> Sequence[Manifest]:
        """All published versions of `model`, oldest first; unfinished claims are left out."""

    def manifest(self, *, model: str, version: int) -> Manifest:
        """One published version. Raises PermanentError when there is none."""

    def keep_report(self, *, place: str, job_id: str, report: Mapping[str, Any]) -> None:
        """Keep a load test's numbers (JSON) beside the versions, under `place` (an environment's or target's name and
        the model's: "staging/iris"). Repeating it for the same job replaces them."""

    def reports(self, *, place: str, newest: int) -> Sequence[Mapping[str, Any]]:
        """The `newest` load tests' numbers that were kept under `place`, newest first; unreadable ones are left out."""

    def folder(self, *, model: str, version: int) -> Path:
        """The version's files on this machine, downloaded if need be. Read only.

        A version that is staged and not yet published has a folder too; a published one's digest is verified, and
        PermanentError raised where the files have been changed.
        """
