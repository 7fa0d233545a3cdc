"""Comparison of a new version with the live one on the new version's evaluation rows.

Both are run by the code that serves them, from their exported files. The live version may be of another type, or of an
earlier release of this program.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.background import ReportStage
from workers.platforms.embedded.warehouse.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.warehouse.features import Examples
from workers.platforms.protocols import Checked, Comparison, LiveVersion

if TYPE_CHECKING:
    import numpy as np

    from workers.platforms.serving.servable import Servable

ROWS_FILE = "evaluation_rows.json"
_BATCH = 1_000
_JSON_TYPES = {"STRING": "string", "BOOL": "boolean"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRows:
    """ROWS_FILE: the rows that a version was evaluated on, as columns. `note` names them ("on 30 rows held out")."""

    columns: Mapping[str, Sequence[str | float]]
    labels: Sequence[str | float]
    note: str


_ROWS = TypeAdapter(EvaluationRows)


def write_rows(examples: Examples, rows: "np.ndarray[Any, Any]", *, note: str) -> bytes:
    """Return the content of ROWS_FILE: these rows of the examples."""
    frame = examples.frame.iloc[rows]
    columns = {feature.name: frame[feature.name].tolist() for feature in examples.features}
    found = EvaluationRows(columns=columns, labels=examples.labels[rows].tolist(), note=note)
    return json.dumps({"columns": found.columns, "labels": found.labels, "note": found.note}).encode()


def check_live(model: Model, live: LiveVersion, checked: Checked) -> None:
    """Raise PermanentError unless the live version predicts the same label from features that the query has."""
    signature = _load(model, live.folder, f"v{live.version}").signature
    if signature.label != model.label:
        raise live.uncomparable(model, f"it predicts {signature.label}")
    for item in signature.inputs:
        found, needed = checked.features.get(item.name), _JSON_TYPES.get(item.type, "number")
        if found not in (needed, "any"):
            has = f"has it as a {found}" if found else "has no such column"
            raise live.uncomparable(model, f"it needs {item.name}, a {needed}, and the query {has}")


def compare(model: Model, *, new: Path, live: LiveVersion, report: ReportStage) -> Comparison:
    """Return the metrics of the version in the folder `new` and of the live one, on the rows in `new`.

    Raises PermanentError if the live version cannot be evaluated on them.
    """
    try:
        rows = _ROWS.validate_json((new / ROWS_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise PermanentError(
            f"The evaluation rows of {model.name} are not stored: its gate had no bound on live when it was trained.",
            advice="Train a new version.",
        ) from error
    new_version, live_version = _load(model, new, "the new version"), _load(model, live.folder, f"v{live.version}")
    known, classes = live_version.signature.classes, new_version.signature.classes
    if set(known) != set(classes):
        raise live.uncomparable(model, f"its classes are {', '.join(known)}, and the new ones {', '.join(classes)}")
    report(0, None, f"evaluating v{live.version}")
    metrics = [_measure(model, version, rows) for version in (new_version, live_version)]
    found = [evaluation(values, rows=rows.note).metrics for values in metrics]
    return Comparison(new=found[0], live=found[1], note=rows.note)


def _load(model: Model, folder: Path, name: str) -> "Servable":
    from workers.platforms.serving.servable import Servable
    from workers.platforms.serving.signature import UnusableModel

    try:
        return Servable(folder)
    except UnusableModel as error:
        raise PermanentError(f"models.{model.name}.gate: {name} cannot be loaded: {error}") from error


def _measure(model: Model, version: "Servable", rows: EvaluationRows) -> dict[str, float]:
    """Return the metrics of the version's predictions for the rows."""
    import numpy as np

    predictions = [
        one
        for begin in range(0, len(rows.labels), _BATCH)
        for one in _predict(model, version, rows, begin, min(begin + _BATCH, len(rows.labels)))
    ]
    signature, labels = version.signature, np.array(rows.labels)
    regression = signature.task == "regression"
    outputs = predictions if regression else [one[signature.probabilities] for one in predictions]
    numbers = np.array(outputs, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise PermanentError(
            f"models.{model.name}.gate: a version predicts NaN for an evaluation row, so it cannot be compared.",
            advice="Leave rows with missing values out of the query, or fill them in.",
        )
    if regression:
        return regression_metrics(labels, numbers.reshape(-1))
    predicted = np.array([np.ravel(one[signature.predicted])[0] for one in predictions])
    return classification_metrics(labels, predicted, numbers, list(signature.classes))


def _predict(model: Model, version: "Servable", rows: EvaluationRows, begin: int, end: int) -> list[Any]:
    from workers.platforms.serving.servable import ModelFailed
    from workers.platforms.serving.tensors import InvalidRequest

    convert = {"STRING": str, "BOOL": bool}
    inputs = {item.name: convert.get(item.type, float) for item in version.signature.inputs}
    instances = [{name: make(rows.columns[name][at]) for name, make in inputs.items()} for at in range(begin, end)]
    try:
        answer = json.loads(version.predict(json.dumps({"instances": instances}).encode()))
    except (InvalidRequest, ModelFailed) as error:
        raise PermanentError(
            f"models.{model.name}.gate: a version cannot predict an evaluation row: {error}"
        ) from error
    predictions: list[Any] = answer["predictions"]
    return predictions
