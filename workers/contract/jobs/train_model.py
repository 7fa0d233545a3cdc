"""Job that trains the next version of a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from workers.contract.jobs.job import Change, Outcome
from workers.contract.settings import Approvals, SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Version `version` is in the registry.

    `metrics` have the names of ML.EVALUATE; `digest` is as in Deploy; `probe` is the finding of the probe, or "".
    `means` are those of the numeric features in training.
    """

    kind: Literal["trained"] = "trained"
    version: int
    digest: str
    metrics: Mapping[str, float]
    size_bytes: int
    probe: str = ""
    means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainModel:
    """Make the next version of `model`: check, train, evaluate, gate, export, version, package, smoke test, publish."""

    steps: ClassVar[tuple[str, ...]] = (
        "check",
        "train",
        "evaluate",
        "gate",
        "export",
        "package",
        "smoke test",
        "publish",
    )
    outcome: ClassVar[type[Outcome]] = Trained
    environment: ClassVar[None] = None
    load: ClassVar[None] = None
    change: ClassVar[Change] = "versions"
    kind: Literal["train_model"] = "train_model"
    model: str

    @property
    def summary(self) -> str:
        return f"train {self.model}"

    @property
    def resource(self) -> str:
        return f"model:{self.model}"

    def approvals_needed(self, settings: SettingsFile) -> Approvals | None:
        return None

    def missing_setting(self, settings: SettingsFile) -> str:
        return "" if self.model in settings.models else f"model {self.model}"
