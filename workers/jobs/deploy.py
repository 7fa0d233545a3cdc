"""`/deploy`: a version becomes what an environment's endpoint answers with."""

from workers.context import Context
from workers.contract.jobs import Deploy, Deployed
from workers.errors import PermanentError
from workers.platforms.protocols.artifacts import Manifest
from workers.platforms.protocols.cluster import Release
from workers.platforms.protocols.platforms import Platforms


def deploy(job: Deploy, context: Context, platforms: Platforms) -> Deployed:
    """Check that what was asked for is what is there, roll it out, and say who ran before."""
    environment = platforms.settings.environments[job.environment]
    model = platforms.settings.models[job.model]
    cluster = platforms.clusters[environment.name]
    with context.step("check version") as step:
        manifest = _unchanged(job, platforms)
        folder = platforms.artifacts.folder(model=job.model, version=job.version)
        step.fact = f"v{job.version}, {manifest.digest[:19]}"
    running = cluster.endpoint(model=job.model, environment=environment)
    replicas = job.replicas or (running.replicas if running else environment.replicas)
    with context.step("roll out") as step:
        release = Release(
            model=model,
            environment=environment,
            manifest=manifest,
            folder=folder,
            replicas=replicas,
            job_id=context.job_id,
            asked_by=context.asked_by,
        )
        endpoint = cluster.roll_out(release=release, progress=context)
        step.fact = f"{endpoint.ready} of {endpoint.desired} ready at {endpoint.address}"
    return Deployed(
        version=job.version,
        previous=running.version if running else None,
        address=endpoint.address,
        ready=endpoint.ready,
        replicas=replicas,
    )


def _unchanged(job: Deploy, platforms: Platforms) -> Manifest:
    """The version's manifest, if it still is what people saw when they asked and approved."""
    manifest = platforms.artifacts.manifest(model=job.model, version=job.version)
    if manifest.digest != job.digest:
        raise PermanentError(
            f"{job.model} v{job.version} is not what was asked for: its content has changed since.",
            advice="Any approval is void. Find out who changed the model store, then train a new version.",
        )
    return manifest
