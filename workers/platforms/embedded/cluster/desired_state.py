"""From a release to the spec of its endpoint, and from spec and status to an Endpoint. Pure."""

from dataclasses import replace

from workers.platforms.embedded.cluster.endpoint_files import DesiredState, EndpointStatus, Spec
from workers.platforms.protocols import Endpoint, Release


def desired_state(release: Release) -> DesiredState:
    """Return the state that the release asks for."""
    return DesiredState(
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
        since_s=release.at_s,
    )


def next_spec(before: Spec | None, desired: DesiredState) -> Spec:
    """Return the spec for `desired`: `before` itself if it already asks for that."""
    if before is None or before.removed:
        return Spec(generation=before.generation + 1 if before else 1, desired=desired)
    was = before.desired
    if desired.template == was.template:  # the version was deployed by an earlier job
        desired = replace(desired, job_id=was.job_id, asked_by=was.asked_by, since_s=was.since_s)
    if desired == was:
        return before
    fallback = before.desired if before.proven else before.fallback
    return Spec(generation=before.generation + 1, desired=desired, fallback=fallback)


def as_endpoint(environment: str, spec: Spec, status: EndpointStatus | None) -> Endpoint:
    """Describe the running endpoint. During a rollout it has the version that still serves."""
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
