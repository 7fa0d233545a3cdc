"""The job of a record that this release cannot read. It is never written to the wire."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.jobs.job import Change, Load, Outcome
from workers.contract.settings import Approvals, SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class NoOutcome:
    """Fulfils the Protocol: an unreadable job has no outcome."""

    kind: Literal["none"] = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableJob:
    """Takes the place of a job whose kind or fields are unknown. Implements Job, and nothing runs it."""

    steps: ClassVar[tuple[str, ...]] = ()
    outcome: ClassVar[type[Outcome]] = NoOutcome
    kind: Literal["unreadable"] = "unreadable"
    summary: ClassVar[str] = "job"
    resource: ClassVar[str] = ""
    model: ClassVar[str] = ""
    environment: ClassVar[str | None] = None
    load: ClassVar[Load | None] = None
    change: ClassVar[Change | None] = None

    def approvals_needed(self, settings: SettingsFile) -> Approvals | None:
        return None

    def missing_setting(self, settings: SettingsFile) -> str:
        return ""
