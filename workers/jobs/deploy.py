"""`/deploy`: roll a version out to an environment's endpoint."""

from workers.context import Context
from workers.contract.jobs import Deploy, Deployed
from workers.errors import PermanentError
from workers.platforms.protocols import Release


def deploy(job: Deploy, context: Context) -> Deployed:
    platforms = context.platforms
    environment = platforms.settings.environments[job.environment]
    cluster = platforms.clusters[environment.name]
    with context.step("check version") as step:
        manifest = platforms.artifacts.manifest(model=job.model, version=job.version)
        if manifest.digest != job.digest:
            raise PermanentError(
                f"{job.model} v{job.version} has changed since this deployment was requested.",
                advice="Any approval is void. Find out who changed the model store, then train a new version.",
            )
        folder = platforms.artifacts.folder(model=job.model, version=job.version)
        step.fact = f"v{job.version}, {manifest.digest[:19]}"
    running = cluster.endpoint(model=job.model, environment=environment)
    replicas = job.replicas or (running.replicas if running else environment.replicas)
    with context.step("roll out") as step:
        release = Release(
            model=platforms.settings.models[job.model],
            environment=environment,
            manifest=manifest,
            folder=folder,
            replicas=replicas,
            job_id=context.job_id,
            asked_by=context.asked_by,
            at_s=context.now_s(),
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
