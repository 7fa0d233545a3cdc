"""Warehouse adapter of one machine: SQL in DuckDB, training in scikit-learn and XGBoost.

A finished training is a folder HOME/warehouse/MODEL/vN with training.json and the export: for linear models model.onnx
and signature.json, for trees the files of BigQuery ML's export. Nothing is unpickled: the export is made and evaluated
while the model is in memory.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workers.contract.formatting import show_count
from workers.errors import PermanentError
from workers.platforms.embedded.background import ReportStage, run_in_background
from workers.platforms.embedded.errors import translated_errors
from workers.platforms.embedded.warehouse.check import check
from workers.platforms.embedded.warehouse.comparison import ROWS_FILE, check_live, compare, write_rows
from workers.platforms.embedded.warehouse.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.warehouse.features import (
    MAXIMUM_ROWS,
    Examples,
    choose_features,
    column_casts,
    feature_means,
    is_classifier,
    prepare,
)
from workers.platforms.embedded.warehouse.linear import fit
from workers.platforms.embedded.warehouse.onnx_export import run_onnx, signature_document, to_onnx
from workers.platforms.embedded.warehouse.options import check_options
from workers.platforms.embedded.warehouse.split import Split, split
from workers.platforms.embedded.warehouse.sql import columns, fetch, model_errors, read_model_query
from workers.platforms.embedded.warehouse.tables import StoredTable, open_database
from workers.platforms.embedded.warehouse.trees import TREES, outputs as tree_outputs, train_trees
from workers.platforms.protocols import Checked, Comparison, Evaluation, LiveVersion, Model, Progress, Training

MAX_TRAININGS = 5
"""Folders kept per model. A job needs its folder from training to export only; the model store keeps the versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _TrainingRecord:
    """training.json: a finished training, the digest of its settings, and its metrics."""

    training: Training
    settings_sha256: str
    evaluation: Evaluation


_RECORD = TypeAdapter(_TrainingRecord)


class EmbeddedWarehouse:
    """Implements Warehouse with the libraries of this machine; files are stored under `home`.

    `tables` maps BigQuery names of tables to CSV or Parquet files. The public irises need no entry.
    """

    def __init__(self, *, home: Path, tables: Mapping[str, StoredTable]) -> None:
        self._root = home / "warehouse"
        self._tables = dict(tables)

    @translated_errors()
    def check(self, *, model: Model, live: LiveVersion | None, progress: Progress) -> Checked:
        """Translate and describe the query, without running it; see Warehouse."""
        checked = check(model, tables=self._tables, progress=progress)
        if live:
            check_live(model, live, checked)
        return checked

    @translated_errors()
    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train, or return the training that an earlier attempt of the same job finished; see Warehouse.

        An interrupted job stops within a second; the current stage then ends in the background.
        """
        folder = self._folder(model, version)
        identity = progress.external_id("training")
        done = _read(folder)
        if done and done.training.identity == identity and done.settings_sha256 == _digest(model):
            progress.log(f"Training {identity} was already finished.")
            return done.training
        identity = f"{model.name}-v{version}-{token_hex(4)}"
        progress.save_external_id("training", identity)
        examples = read_examples(model, tables=self._tables, progress=progress)
        record, files = run_in_background(lambda report: _build(model, examples, identity, report), progress=progress)
        progress.check()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "training.json").write_bytes(_RECORD.dump_json(record, indent=2))
        _delete_old(folder)
        return record.training

    @translated_errors()
    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """Return the metrics from the end of the training, as ML.EVALUATE without a table does; see Warehouse."""
        progress.check()
        return self._record(model, version).evaluation

    @translated_errors()
    def compare(self, *, model: Model, version: int, live: LiveVersion, progress: Progress) -> Comparison:
        """Evaluate the exported files of both versions on the stored rows; see Warehouse."""
        self._record(model, version)
        new = self._folder(model, version)
        return run_in_background(lambda report: compare(model, new=new, live=live, report=report), progress=progress)

    @translated_errors()
    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Copy the exported files into the folder `to`. Return "onnx" or "xgboost_booster"; see Warehouse."""
        if "://" in to:
            raise PermanentError(
                f"The local warehouse exports to a folder, not to {to}.",
                advice='Set warehouse and artifacts both to "local", or both to the cloud.',
            )
        self._record(model, version)
        progress.check()
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self._folder(model, version), to, ignore=shutil.ignore_patterns("training.json", ROWS_FILE))
        return "xgboost_booster" if model.type in TREES else "onnx"

    def _folder(self, model: Model, version: int) -> Path:
        return self._root / model.name / f"v{version}"

    def _record(self, model: Model, version: int) -> _TrainingRecord:
        record = _read(self._folder(model, version))
        if record is None:
            raise PermanentError(
                f"{model.name} v{version} has no finished training on this machine.", advice="Train a new version."
            )
        return record


def read_examples(model: Model, *, tables: Mapping[str, StoredTable], progress: Progress) -> Examples:
    """Run the model's query on `tables`, BigQuery names of CSV or Parquet files, and on the public irises.

    Raises PermanentError that begins with the field of the settings at fault. An interrupted job ends its query.
    """
    check_options(model)
    database = open_database()

    def read(report: ReportStage) -> Examples:
        with database as connection:
            report(0, None, "loading tables")
            query = read_model_query(connection, model, files=tables)
            features = choose_features(model, columns(query))
            report(0, None, "running the query")
            with model_errors(model):
                rows = fetch(connection, query, casts=column_casts(model, features), limit=MAXIMUM_ROWS + 1)
        return prepare(model, features, rows)

    examples = run_in_background(read, progress=progress, interrupt=database.interrupt)
    features = ", ".join(f"{feature.name} {feature.type}" for feature in examples.features)
    progress.log(f"{show_count(len(examples.labels), 'row')}; features: {features}; label: {model.label}.")
    if examples.unlabelled:
        progress.log(f"{show_count(examples.unlabelled, 'row')} without a label skipped.")
    return examples


def _build(
    model: Model, examples: Examples, identity: str, report: ReportStage
) -> tuple[_TrainingRecord, dict[str, bytes]]:
    """Split, train, and evaluate the export. Return the record and the exported files by name.

    Writes no file: the job may have been interrupted meanwhile.
    """
    rows = split(model, examples)
    files, outputs, classes, note = (_trees if model.type in TREES else _linear)(model, examples, rows, report)
    labels = examples.labels[rows.evaluate]
    if classes is None:
        metrics = regression_metrics(labels, outputs[0][:, 0])
    else:
        metrics = classification_metrics(labels, outputs[0], outputs[1], classes)
    if examples.unlabelled:
        note += f"; {show_count(examples.unlabelled, 'row')} without a label skipped"
    training = Training(identity=identity, rows=len(examples.labels), note=note)
    measured = replace(evaluation(metrics, rows=rows.note), means=feature_means(examples))
    record = _TrainingRecord(training=training, settings_sha256=_digest(model), evaluation=measured)
    if any(bound.relative for bound in model.gate.values()):
        files[ROWS_FILE] = write_rows(examples, rows.evaluate, note=rows.note)
    return record, files


_Built = tuple[dict[str, bytes], list[Any], list[str] | None, str]
"""The exported files, the outputs for the evaluation rows, the classes of a classifier, and a fact for people."""


def _linear(model: Model, examples: Examples, rows: Split, report: ReportStage) -> _Built:
    pipeline, note = fit(model, examples, rows.train, report=report)
    classes = [str(name) for name in pipeline.classes_] if is_classifier(model) else None
    graph = to_onnx(pipeline, examples.features, model.label, classify=classes is not None)
    outputs = run_onnx(graph, examples.features, examples.frame.iloc[rows.evaluate])
    signature = signature_document(examples.features, model.label, classes=classes, means=feature_means(examples))
    files = {"model.onnx": graph, "signature.json": (json.dumps(signature, indent=2) + "\n").encode()}
    return files, outputs, classes, note


def _trees(model: Model, examples: Examples, rows: Split, report: ReportStage) -> _Built:
    files, session, note = train_trees(model, examples, rows, report=report)
    outputs = tree_outputs(session, examples.features, examples.frame.iloc[rows.evaluate])
    return files, outputs, list(session.signature.classes) or None, note


def _delete_old(newest: Path) -> None:
    others = [folder for folder in newest.parent.iterdir() if folder != newest]
    others.sort(key=lambda folder: folder.stat().st_mtime)
    for folder in others[: -(MAX_TRAININGS - 1)]:
        shutil.rmtree(folder, ignore_errors=True)


def _digest(model: Model) -> str:
    """Return a digest of the settings that determine the training."""
    return sha256(json.dumps([model.type, model.label, model.query, model.options]).encode()).hexdigest()


def _read(folder: Path) -> _TrainingRecord | None:
    """Return the finished training in `folder`, or None if it is missing or damaged."""
    try:
        return _RECORD.validate_json((folder / "training.json").read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None
