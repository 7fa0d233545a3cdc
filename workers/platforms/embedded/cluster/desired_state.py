"""What is wanted of an endpoint on one machine, from a release, and what is told of it. Pure but for the clock."""

import time
from dataclasses import replace

from workers.platforms.embedded.cluster.endpoint_files import Desired, EndpointStatus, Spec
from workers.platforms.protocols.cluster import Endpoint, Release


def wanted(release: Release) -> Desired:
    """What the release wants."""
    return Desired(
        model=release.model.name,
        version=release.manifest.version,
        digest=release.manifest.digest,
        folder=str(release.folder.resolve()),
        minimum=release.replicas.minimum,
        maximum=release.replicas.maximum,
        cpu_request_cores=release.environment.cpu_request_cores,
        cpu_target_percent=release.environment.cpu_target,
        sample=tuple(dict(row) for row in release.model.sample),
        job_id=release.job_id,
        asked_by=release.asked_by,
        since_s=time.time(),
    )


def next_spec(before: Spec | None, desired: Desired) -> Spec:
    """The spec for `desired`: the same one where that is wanted already."""
    if before is None or before.removed:
        return Spec(generation=before.generation + 1 if before else 1, desired=desired)
    was = before.desired
    if desired.template == was.template:  # the version is there already, brought by the job that brought it
        desired = replace(desired, job_id=was.job_id, asked_by=was.asked_by, since_s=was.since_s)
    if desired == was:
        return before
    fallback = before.desired if before.proven else before.fallback
    return Spec(generation=before.generation + 1, desired=desired, fallback=fallback)


def as_endpoint(environment: str, spec: Spec, status: EndpointStatus | None) -> Endpoint:
    """What runs by these two: while a roll-out is under way, the version that still serves."""
    desired = served = spec.desired
    if status and spec.fallback and status.version == spec.fallback.version:
        served = spec.fallback
    return Endpoint(
        model=desired.model,
        environment=environment,
        version=served.version,
        address=status.address if status else "",
        ready=status.ready if status else 0,
        desired=status.desired if status else desired.minimum,
        replicas=desired.bounds,
        cpu_percent=status.cpu_percent if status else None,
        trouble=status.trouble if status else "",
        since_s=served.since_s,
        job_id=served.job_id,
    )
