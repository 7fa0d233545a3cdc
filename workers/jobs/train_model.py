"""`/model train`: from SQL to a published version."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from workers.context import Context
from workers.contract.jobs import Trained, TrainModel
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
        query_sha256=hashlib.sha256(model.query.encode()).hexdigest(),
        training=training.identity,
        trained_by=context.asked_by,
        job_id=context.job_id,
        created_at_s=context.now_s(),
    )
    _publish(model, manifest, context)
    return Trained(version=version, digest=digest, metrics=dict(evaluation.metrics), size_bytes=size_bytes)


def _publish(model: Model, manifest: Manifest, context: Context) -> None:
    """Build the image if the platform needs one, smoke-test the version, and write its registry entry last."""
    artifacts, images = context.platforms.artifacts, context.platforms.images
    folder = artifacts.folder(model=model.name, version=manifest.version)
    with context.step("package") as step:
        image = images.build(model=model, manifest=manifest, folder=folder, progress=context)
        step.fact = image or "no image needed on this machine"
    with context.step("smoke test") as step:
        step.fact = images.smoke_test(model=model, folder=folder, image=image, progress=context)
    with context.step("publish") as step:
        context.check()
        pushed = images.publish(image=image, progress=context)
        artifacts.publish(manifest=replace(manifest, image=pushed or ""))
        step.fact = f"v{manifest.version}" + (f", {pushed}" if pushed else ", no push needed on this machine")


def _headline(metrics: Mapping[str, float]) -> str:
    name = next((name for name in _FIRST_METRICS if name in metrics), next(iter(metrics)))
    return f"{name} {metrics[name]:.3f}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024:.1f} kB" if size_bytes < 1024**2 else f"{size_bytes / 1024**2:.1f} MB"
