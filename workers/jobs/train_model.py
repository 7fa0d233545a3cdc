"""`/model train`: from SQL to a published version."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace

from workers.context import Context
from workers.contract.jobs import Trained, TrainModel
from workers.errors import PermanentError
from workers.jobs.checks import check
from workers.jobs.gate import find_live, pass_gate
from workers.platforms.protocols import Manifest, Model

_FIRST_METRICS = ("accuracy", "roc_auc", "r2_score", "mean_absolute_error")


def train_model(job: TrainModel, context: Context) -> Trained:
    platforms = context.platforms
    model = platforms.settings.models[job.model]
    with context.step("check") as step:
        live = find_live(model, context)
        step.fact = check(model, context, live=live).cost
    version = platforms.artifacts.claim(model=model.name, job_id=context.request)
    with context.step("train") as step:
        training = platforms.warehouse.train(model=model, version=version, progress=context)
        step.fact = f"{training.rows:,} rows, {training.note}"
    with context.step("evaluate") as step:
        evaluation = platforms.warehouse.evaluate(model=model, version=version, progress=context)
        step.fact = f"{_headline(evaluation.metrics)}, {evaluation.note}"
    pass_gate(model, version, evaluation, live=live, context=context)
    with context.step("export") as step:
        staging = platforms.artifacts.staging(model=model.name, version=version)
        exported_as = platforms.warehouse.export(model=model, version=version, to=staging, progress=context)
        digest, size_bytes = platforms.artifacts.describe(model=model.name, version=version)
        step.fact = f"{exported_as.upper()}, {_size(size_bytes)}"
    manifest = Manifest(
        model=model.name,
        version=version,
        digest=digest,
        format=exported_as,
        size_bytes=size_bytes,
        metrics=dict(evaluation.metrics),
        means=dict(evaluation.means),
        query_sha256=hashlib.sha256(model.query.encode()).hexdigest(),
        training=training.identity,
        trained_by=context.asked_by,
        job_id=context.job_id,
        created_at_s=context.now_s(),
    )
    finding = _publish(model, manifest, context)
    return Trained(
        version=version,
        digest=digest,
        metrics=dict(evaluation.metrics),
        size_bytes=size_bytes,
        probe=finding,
        means=dict(evaluation.means),
    )


def _publish(model: Model, manifest: Manifest, context: Context) -> str:
    """Build the image if the platform needs one, test the version, and write its registry entry last.

    Returns the finding of the probe.
    """
    artifacts, images = context.platforms.artifacts, context.platforms.images
    folder = artifacts.folder(model=model.name, version=manifest.version)
    with context.step("package") as step:
        image = images.build(model=model, manifest=manifest, folder=folder, progress=context)
        step.fact = image or "no image needed on this machine"
    with context.step("smoke test") as step:
        spread = label_spread(manifest.metrics)
        tested = images.smoke_test(model=model, folder=folder, image=image, spread=spread, progress=context)
        finding = tested.probe.finding
        step.fact = "; ".join(filter(None, (tested.fact, finding)))
        if model.probe == "gate" and not tested.probe.passed:
            raise PermanentError(
                f"The probe failed: {finding}.",
                advice="Nothing was published. Group rare categories in the query, or set"
                f' models.{model.name}.probe = "warn".',
            )
    with context.step("publish") as step:
        context.check()
        pushed = images.publish(image=image, progress=context)
        artifacts.publish(manifest=replace(manifest, image=pushed or "", probe=finding))
        step.fact = f"v{manifest.version}" + (f", {pushed}" if pushed else ", no push needed on this machine")
    return finding


def _headline(metrics: Mapping[str, float]) -> str:
    name = next((name for name in _FIRST_METRICS if name in metrics), next(iter(metrics)))
    return f"{name} {metrics[name]:.3f}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024:.1f} kB" if size_bytes < 1024**2 else f"{size_bytes / 1024**2:.1f} MB"


def label_spread(metrics: Mapping[str, float]) -> float | None:
    """Return the standard deviation of a regressor's label, from its metrics: √(mean_squared_error / (1 - r2_score)).

    r2_score is 1 - mean_squared_error / variance, of the evaluation rows. None if the metrics do not tell it.
    """
    error, r2 = metrics.get("mean_squared_error"), metrics.get("r2_score")
    if error is None or r2 is None or r2 >= 1 or error <= 0:
        return None
    return math.sqrt(error / (1 - r2))
