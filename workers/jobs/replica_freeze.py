"""A fixed number of replicas during a capacity search, and the endpoint's own bounds again afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from workers.context import Context
from workers.contract.jobs import FindCapacity
from workers.contract.replicas import Replicas
from workers.contract.units import read_replicas
from workers.errors import PermanentError, Superseded, TemporaryError
from workers.platforms.protocols.cluster import Endpoint

BOUNDS_ID = "replicas before the search"
"""The key of the saved bounds: if this attempt is killed, the next one restores them."""


@contextmanager
def frozen_replicas(job: FindCapacity, context: Context) -> Iterator[None]:
    """Restore the bounds that `freeze` saved, however the search ends, unless another attempt has the job now."""
    superseded = False
    try:
        yield
    except Superseded:
        superseded = True
        raise
    finally:
        if not superseded:
            _restore(job, context)


def freeze(job: FindCapacity, endpoint: Endpoint, context: Context) -> None:
    """Save the endpoint's bounds, then fix its replicas at the number that is ready."""
    fixed = Replicas(minimum=endpoint.ready, maximum=endpoint.ready)
    if endpoint.replicas == fixed:
        return
    if context.external_id(BOUNDS_ID) is None:
        context.save_external_id(BOUNDS_ID, str(endpoint.replicas))
    environment = context.platforms.settings.environments[job.environment]
    context.platforms.clusters[job.environment].scale(
        model=job.model, environment=environment, replicas=fixed, progress=context
    )


def _restore(job: FindCapacity, context: Context) -> None:
    """Set the saved bounds, if this attempt or an earlier one saved any."""
    before = context.external_id(BOUNDS_ID)
    if before is None:
        return
    platforms = context.platforms
    try:
        platforms.clusters[job.environment].set_bounds(
            model=job.model,
            environment=platforms.settings.environments[job.environment],
            replicas=read_replicas(before),
        )
    except (PermanentError, TemporaryError) as error:
        raise PermanentError(
            f"The search is over, but the replica bounds of {job.model} on {job.environment} were not restored:"
            f" {error}",
            advice=f"Set them: /scale {before} {job.model} on {job.environment}.",
        ) from error
