"""`/scale`: a fixed number of replicas, or bounds for the autoscaler."""

from workers.context import Context
from workers.contract.formatting import show_count
from workers.contract.jobs import Rescaled, Scale
from workers.errors import PermanentError


def scale(job: Scale, context: Context) -> Rescaled:
    environment = context.platforms.settings.environments[job.environment]
    cluster = context.platforms.clusters[environment.name]
    before = cluster.endpoint(model=job.model, environment=environment)
    if before is None:
        raise PermanentError(
            f"{job.model} is not deployed on {job.environment}.",
            advice=f"Deploy a version first: /deploy v1 {job.model}.",
        )
    with context.step("scale") as step:
        after = cluster.scale(model=job.model, environment=environment, replicas=job.replicas, progress=context)
        step.fact = f"{before.ready} → {show_count(after.ready, 'replica')}"
    return Rescaled(before=before.ready, after=after.ready, replicas=job.replicas)
