"""The Protocol of the model store, which is the registry of versions, and its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A version's entry in the registry: `manifest.json` beside its files, written last and never changed.

    * `digest`: "sha256:…" over the names and contents of the files.
    * `query_sha256`: over the SQL.
    * `training`: the identity of the training (see Training).
    * `trained_by`: the chat name of the person who asked for the training.
    * `created_at_s`: Unix seconds.
    * `image`: the digest reference of the pushed image, or "".
    * `probe`: the finding of the robustness probe, or "".
    * `means`: those of the numeric features in training, by feature.
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
    probe: str = ""
    means: Mapping[str, float] = field(default_factory=dict)


class Artifacts(Protocol):
    """The registry of versions, `…/MODEL/N/` with a manifest, in a folder or a Cloud Storage bucket.

    Every method raises PermanentError for an invalid model name, version number or place.
    """

    def claim(self, *, model: str, job_id: str) -> int:
        """Claim the next version number of `model` (1, 2, …) for `job_id`. Safe to call from several processes.

        A second call for the same job returns the same number. A claimed number is never given to another job.
        """

    def staging(self, *, model: str, version: int) -> str:
        """Return an empty address at which the warehouse may write the files of the claimed version.

        Raises PermanentError if the version was never claimed.
        """

    def describe(self, *, model: str, version: int) -> tuple[str, int]:
        """Return the staged files' digest (as in Manifest) and size in bytes. Raises PermanentError without files."""

    def publish(self, *, manifest: Manifest) -> None:
        """Publish the staged files as `manifest.version`; the manifest is written last.

        A second call with the same digest changes nothing. Raises PermanentError if the digest is not that of the
        staged or published files.
        """

    def versions(self, *, model: str) -> Sequence[Manifest]:
        """Return all published versions of `model`, oldest first. Raises PermanentError if a manifest is damaged."""

    def manifest(self, *, model: str, version: int) -> Manifest:
        """Return one published version. Raises PermanentError if it does not exist or its manifest is damaged."""

    def folder(self, *, model: str, version: int) -> Path:
        """Return a read-only folder on this machine with the version's files, downloaded if necessary.

        Before the version is published, the folder holds the staged files. Raises PermanentError if the files of a
        published version do not match its digest.
        """

    def keep_report(self, *, place: str, job_id: str, at_s: float, report: Mapping[str, Any]) -> None:
        """Store a load test's report as JSON. A second call for the same job replaces the report.

        `at_s` orders the reports, in Unix seconds. `place` is the name of an environment or load target, followed by
        the model's name if any: "staging/iris". Raises PermanentError if JSON cannot hold the report.
        """

    def reports(self, *, place: str, newest: int) -> Sequence[Mapping[str, Any]]:
        """Return the `newest` reports of `place`, newest first, without damaged ones."""
