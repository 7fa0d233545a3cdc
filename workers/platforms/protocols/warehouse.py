"""The Protocol of a data warehouse that runs SQL and trains models, and its values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.protocols.progress import Progress

JsonType = Literal["number", "string", "boolean", "any"]
"""The JSON type of a feature in a request. "any": it is known only after the export."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A model that passed the free checks.

    `features` maps the query's columns except the label to their types in a request, in the query's order. `cost` is
    the estimated cost of the training for people ("1.2 GB to read, about $0.34").
    """

    features: Mapping[str, JsonType]
    cost: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A finished training on `rows` rows. `note` is one fact for people ("412 trees, final loss 0.08")."""

    identity: str
    rows: int
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Metrics under the names of BigQuery's ML.EVALUATE. `note` names the rows used ("on 30 rows held out").

    `means` are those of the numeric features in training, by feature: clients may send them for missing numbers.
    """

    metrics: Mapping[str, float]
    note: str
    means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveVersion:
    """The version of a model that is live on `environment`, with its exported files in `folder`."""

    version: int
    environment: str
    folder: Path

    def uncomparable(self, model: Model, reason: str) -> PermanentError:
        """Return the error that this version cannot be evaluated for the gate of `model`. `reason` begins with "it"."""
        return PermanentError(
            f"models.{model.name}.gate: v{self.version} on {self.environment} cannot be compared: {reason}.",
            advice=f"Train once without bounds on live, deploy that version to {self.environment}, and restore them.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Metrics of a new version and of the live one, computed alike on the same rows. `note` names the rows."""

    new: Mapping[str, float]
    live: Mapping[str, float]
    note: str


class Warehouse(Protocol):
    """A data warehouse: BigQuery ML, or this machine."""

    def check(self, *, model: Model, live: LiveVersion | None, progress: Progress) -> Checked:
        """Check the query, its columns and the label, at no cost and without a change.

        Raises PermanentError as `train` does, except for mistakes that only the query's rows show. Also raises it if
        `live` needs a column that the query lacks.
        """

    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train `version` of `model` from its query, and report iterations or stages.

        A second call for the same version, job and settings resumes or returns the earlier training. Raises
        PermanentError that begins with the field at fault ("models.iris.query: …") if the query does not parse, a table
        or the label is missing, or a column has a type that cannot be learned from.
        """

    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """Return the trained version's metrics. Raises PermanentError if the version was not trained."""

    def compare(self, *, model: Model, version: int, live: LiveVersion, progress: Progress) -> Comparison:
        """Evaluate the trained version and `live` on the rows that were held out from the training, or else on all.

        The live version may have been trained with some of these rows, which favours it. Raises PermanentError if it
        cannot be evaluated on them.
        """

    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Write the trained version to the address `to`, which comes from `Artifacts.staging`.

        Returns the format: "onnx", "saved_model" or "xgboost_booster". Replaces the files of an earlier export.
        Raises PermanentError if the version was not trained.
        """
