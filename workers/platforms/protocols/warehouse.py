"""The Protocol of a data warehouse that runs SQL and trains models, and its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from workers.contract.settings import Model
from workers.platforms.protocols.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A finished training. `rows` were read; `note` is one fact for people ("412 trees, final loss 0.08")."""

    identity: str
    rows: int
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Metrics by the names of BigQuery's ML.EVALUATE, and how they were come by ("on 30 rows held out")."""

    metrics: Mapping[str, float]
    note: str


class Warehouse(Protocol):
    """Where SQL runs and models are trained: BigQuery ML, or this machine."""

    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train `version` of `model` from its query. Reports iterations or stages.

        A second call for the same version after a crash goes on with, or repeats, the same training.
        Raises PermanentError, naming the field of the settings at fault, for a query that does not parse,
        an unknown table, a missing label, a type that cannot be learned from.
        """

    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """The trained version's metrics."""

    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Write the trained version to the address `to` (from Artifacts.staging); return the format's name:
        "onnx", "saved_model" or "xgboost_booster". What an earlier export wrote at `to` is replaced."""
