"""The warehouse on this machine: SQL in DuckDB, training in scikit-learn, ONNX out.

A finished training is a folder HOME/warehouse/MODEL/vN of model.onnx, signature.json and training.json. Nothing is
ever unpickled: the ONNX graph is made while the pipeline is still in memory, and is what gets evaluated.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from pydantic import TypeAdapter, ValidationError

from workers.contract.formatting import show_count
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.errors import on_disk
from workers.platforms.embedded.warehouse.background import Tell, in_background
from workers.platforms.embedded.warehouse.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.warehouse.features import (
    MAXIMUM_ROWS,
    Examples,
    casts,
    choose_features,
    is_classifier,
    prepare,
)
from workers.platforms.embedded.warehouse.onnx_export import run_onnx, signature, to_onnx
from workers.platforms.embedded.warehouse.sql import IRIS, describe, fetch, load_tables, open_database, translate
from workers.platforms.embedded.warehouse.training import fit, split
from workers.platforms.protocols.progress import Progress
from workers.platforms.protocols.warehouse import Evaluation, Training

KEPT_TRAININGS = 5
"""Folders kept a model: they serve one job each, between its training and its export; the store keeps versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """training.json: a finished training, the settings that it was made from, and its metrics."""

    training: Training
    settings_sha256: str
    evaluation: Evaluation


_RECORD = TypeAdapter(_Record)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Product:
    """What a training came to: its record, and the exported files by name."""

    record: _Record
    files: Mapping[str, bytes]


class EmbeddedWarehouse:
    """Implements Warehouse with nothing but this machine; files go under `home`.

    `tables` maps BigQuery names of tables to CSV or Parquet files; the public irises are there without.
    """

    def __init__(self, *, home: Path, tables: Mapping[str, Path]) -> None:
        self._root = home / "warehouse"
        self._tables = dict(tables)

    @on_disk()
    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train as the Protocol says; an attempt of the same job that had finished is not repeated.

        Reports iterations (boosted trees, logistic_reg) or the one stage (linear_reg). A job that is to stop leaves
        within a second; the query or stage under way then ends by itself.
        """
        folder = self._folder(model, version)
        identity = progress.external_id("training")
        done = _read(folder)
        if done and done.training.identity == identity and done.settings_sha256 == _digest(model):
            progress.log(f"Training {identity} had finished already.")
            return done.training
        identity = f"{model.name}-v{version}-{token_hex(4)}"
        progress.save_external_id("training", identity)
        examples = self._examples(model, progress)
        product = in_background(lambda tell: _produce(model, examples, identity, tell), progress=progress)
        progress.check()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in product.files.items():
            (folder / name).write_bytes(content)
        (folder / "training.json").write_bytes(_RECORD.dump_json(product.record, indent=2))
        self._forget_old(folder)
        return product.record.training

    @on_disk()
    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """The metrics made at the end of the training, which ML.EVALUATE without a table answers with, too."""
        progress.check()
        return self._trained(model, version).evaluation

    @on_disk()
    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Write model.onnx and signature.json into the folder `to`; the format is "onnx"."""
        if "://" in to:
            raise PermanentError(
                f"The warehouse on this machine exports to a folder, not to {to}.",
                advice='Set warehouse and artifacts both to "local", or both to the cloud.',
            )
        self._trained(model, version)
        progress.check()
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self._folder(model, version), to, ignore=shutil.ignore_patterns("training.json"))
        return "onnx"

    def _examples(self, model: Model, progress: Progress) -> Examples:
        translation = translate(model, known=[IRIS, *self._tables])
        database = open_database()

        def read(tell: Tell) -> Examples:
            with database as connection:
                tell(0, None, "loading tables")
                load_tables(connection, translation.tables, files=self._tables)
                features = choose_features(model, describe(connection, translation, model=model))
                wanted = casts(model, features)
                tell(0, None, "running the query")
                rows = fetch(connection, translation, model=model, columns=wanted, limit=MAXIMUM_ROWS + 1)
            return prepare(model, features, rows)

        examples = in_background(read, progress=progress, interrupt=database.interrupt)
        named = ", ".join(f"{feature.name} {feature.type}" for feature in examples.features)
        progress.log(f"{show_count(len(examples.labels), 'row')}; features: {named}; label: {model.label}.")
        if examples.unlabelled:
            progress.log(f"{show_count(examples.unlabelled, 'row')} without a label: left out.")
        return examples

    def _folder(self, model: Model, version: int) -> Path:
        return self._root / model.name / f"v{version}"

    def _trained(self, model: Model, version: int) -> _Record:
        record = _read(self._folder(model, version))
        if record is None:
            raise PermanentError(
                f"{model.name} v{version} has no finished training on this machine.", advice="Train a new version."
            )
        return record

    @staticmethod
    def _forget_old(newest: Path) -> None:
        others = [folder for folder in newest.parent.iterdir() if folder != newest]
        others.sort(key=lambda folder: folder.stat().st_mtime)
        for folder in others[: -(KEPT_TRAININGS - 1)]:
            shutil.rmtree(folder, ignore_errors=True)


def _produce(model: Model, examples: Examples, identity: str, tell: Tell) -> _Product:
    """Split, fit, convert and evaluate. Writes nothing: nobody may be waiting for it any more."""
    classify = is_classifier(model)
    rows = split(examples, classify=classify)
    fitted = fit(model, examples, rows.train, tell=tell)
    classes = [str(name) for name in fitted.pipeline.classes_] if classify else None
    graph = to_onnx(fitted.pipeline, examples.features, model.label, classify=classify)
    outputs = run_onnx(graph, examples.features, examples.frame.iloc[rows.evaluate])
    labels = examples.labels[rows.evaluate]
    if classes is None:
        metrics = regression_metrics(labels, outputs[0][:, 0])
    else:
        metrics = classification_metrics(labels, outputs[0], outputs[1], classes)
    left_out = f"; {show_count(examples.unlabelled, 'row')} without a label: left out" if examples.unlabelled else ""
    record = _Record(
        training=Training(identity=identity, rows=len(examples.labels), note=fitted.note + left_out),
        settings_sha256=_digest(model),
        evaluation=evaluation(metrics, rows=rows.note),
    )
    says = json.dumps(signature(examples.features, model.label, classes=classes), indent=2) + "\n"
    return _Product(record=record, files={"model.onnx": graph, "signature.json": says.encode()})


def _digest(model: Model) -> str:
    """Over the settings that decide what is trained."""
    return sha256(json.dumps([model.type, model.label, model.query]).encode()).hexdigest()


def _read(folder: Path) -> _Record | None:
    """The finished training in `folder`, or None where there is none that can be read."""
    try:
        return _RECORD.validate_json((folder / "training.json").read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None
