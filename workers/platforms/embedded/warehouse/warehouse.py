"""Warehouse adapter of one machine: SQL in DuckDB, training in scikit-learn, export as ONNX.

A finished training is a folder HOME/warehouse/MODEL/vN with model.onnx, signature.json and training.json. Nothing is
unpickled: the ONNX graph is made and evaluated while the pipeline is in memory.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from secrets import token_hex

from pydantic import TypeAdapter, ValidationError

from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.embedded.background import run_in_background
from workers.platforms.embedded.errors import translated_errors
from workers.platforms.embedded.warehouse.example_reader import read_examples
from workers.platforms.embedded.warehouse.model_builder import build_model
from workers.platforms.protocols.progress import Progress
from workers.platforms.protocols.warehouse import Evaluation, Training

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

    def __init__(self, *, home: Path, tables: Mapping[str, Path]) -> None:
        self._root = home / "warehouse"
        self._tables = dict(tables)

    @translated_errors()
    def train(self, *, model: Model, version: int, progress: Progress) -> Training:
        """Train, or return the training that an earlier attempt of the same job finished; see Warehouse.

        Reports iterations (boosted trees, logistic_reg) or the only stage (linear_reg). An interrupted job stops
        within a second; the current stage then ends in the background.
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
        built = run_in_background(lambda report: build_model(model, examples, identity, report), progress=progress)
        progress.check()
        record = _TrainingRecord(training=built.training, settings_sha256=_digest(model), evaluation=built.evaluation)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in built.files.items():
            (folder / name).write_bytes(content)
        (folder / "training.json").write_bytes(_RECORD.dump_json(record, indent=2))
        self._delete_old(folder)
        return built.training

    @translated_errors()
    def evaluate(self, *, model: Model, version: int, progress: Progress) -> Evaluation:
        """Return the metrics from the end of the training, as ML.EVALUATE without a table does; see Warehouse."""
        progress.check()
        return self._record(model, version).evaluation

    @translated_errors()
    def export(self, *, model: Model, version: int, to: str, progress: Progress) -> str:
        """Write model.onnx and signature.json into the folder `to` and return "onnx"; see Warehouse."""
        if "://" in to:
            raise PermanentError(
                f"The local warehouse exports to a folder, not to {to}.",
                advice='Set warehouse and artifacts both to "local", or both to the cloud.',
            )
        self._record(model, version)
        progress.check()
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self._folder(model, version), to, ignore=shutil.ignore_patterns("training.json"))
        return "onnx"

    def _folder(self, model: Model, version: int) -> Path:
        return self._root / model.name / f"v{version}"

    def _record(self, model: Model, version: int) -> _TrainingRecord:
        record = _read(self._folder(model, version))
        if record is None:
            raise PermanentError(
                f"{model.name} v{version} has no finished training on this machine.", advice="Train a new version."
            )
        return record

    @staticmethod
    def _delete_old(newest: Path) -> None:
        others = [folder for folder in newest.parent.iterdir() if folder != newest]
        others.sort(key=lambda folder: folder.stat().st_mtime)
        for folder in others[: -(MAX_TRAININGS - 1)]:
            shutil.rmtree(folder, ignore_errors=True)


def _digest(model: Model) -> str:
    """Return a digest of the settings that determine the training."""
    return sha256(dumps([model.type, model.label, model.query]).encode()).hexdigest()


def _read(folder: Path) -> _TrainingRecord | None:
    """Return the finished training in `folder`, or None if it is missing or damaged."""
    try:
        return _RECORD.validate_json((folder / "training.json").read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None
