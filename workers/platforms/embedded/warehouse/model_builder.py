"""From training data to the files of a version: split, fit, convert to ONNX, evaluate the graph.

Writes no file: the job may have been interrupted meanwhile.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from workers.contract.formatting import show_count
from workers.contract.settings import Model
from workers.platforms.embedded.background import ReportStage
from workers.platforms.embedded.warehouse.evaluation import classification_metrics, evaluation, regression_metrics
from workers.platforms.embedded.warehouse.features import Examples, is_classifier
from workers.platforms.embedded.warehouse.onnx_export import run_onnx, signature_document, to_onnx
from workers.platforms.embedded.warehouse.training import fit, split
from workers.platforms.protocols.warehouse import Evaluation, Training


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltModel:
    """A finished training: the facts about it, its metrics, and the exported files by name."""

    training: Training
    evaluation: Evaluation
    files: Mapping[str, bytes]


def build_model(model: Model, examples: Examples, identity: str, report: ReportStage) -> BuiltModel:
    """Train on the examples. `identity` becomes the training's identity."""
    classify = is_classifier(model)
    rows = split(examples, classify=classify)
    fitted = fit(model, examples, rows.train, report=report)
    classes = [str(name) for name in fitted.pipeline.classes_] if classify else None
    graph = to_onnx(fitted.pipeline, examples.features, model.label, classify=classify)
    outputs = run_onnx(graph, examples.features, examples.frame.iloc[rows.evaluate])
    labels = examples.labels[rows.evaluate]
    if classes is None:
        metrics = regression_metrics(labels, outputs[0][:, 0])
    else:
        metrics = classification_metrics(labels, outputs[0], outputs[1], classes)
    skipped = f"; {show_count(examples.unlabelled, 'row')} without a label skipped" if examples.unlabelled else ""
    signature = json.dumps(signature_document(examples.features, model.label, classes=classes), indent=2) + "\n"
    return BuiltModel(
        training=Training(identity=identity, rows=len(examples.labels), note=fitted.note + skipped),
        evaluation=evaluation(metrics, rows=rows.note),
        files={"model.onnx": graph, "signature.json": signature.encode()},
    )
