"""Replicas held at a number while a search for capacity lasts, and their bounds given back, whatever becomes of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from workers.context import Context
from workers.contract.jobs import FindCapacity
from workers.contract.replicas import Replicas
from workers.contract.units import read_replicas
from workers.errors import Interrupted, PermanentError, Superseded, TemporaryError
from workers.platforms.protocols.cluster import Endpoint
from workers.platforms.protocols.platforms import Platforms

HELD = "replicas before the search"
"""Under what the bounds are written down that are to be given back, for the next attempt should this one be killed."""


def hold(job: FindCapacity, endpoint: Endpoint, context: Context, platforms: Platforms) -> None:
    """Fix the replicas at the number that is ready, after writing down what is to be given back."""
    fixed = Replicas(minimum=endpoint.ready, maximum=endpoint.ready)
    if endpoint.replicas == fixed:
        return
    if context.external_id(HELD) is None:
        context.save_external_id(HELD, str(endpoint.replicas))
    environment = platforms.settings.environments[job.environment]
    platforms.clusters[job.environment].scale(
        model=job.model, environment=environment, replicas=fixed, progress=context
    )


@contextmanager
def given_back(job: FindCapacity, context: Context, platforms: Platforms) -> Iterator[None]:
    """Give the endpoint back the bounds it had, however the search ends: unless another attempt has the job now."""
    with ExitStack() as stack:
        stack.callback(_give_back, job, context, platforms)
        try:
            yield
        except Superseded:
            stack.pop_all()
            raise


def _give_back(job: FindCapacity, context: Context, platforms: Platforms) -> None:
    """Nothing where nothing was held, by this attempt or one before it that was killed."""
    before = context.external_id(HELD)
    if before is None:
        return
    try:
        platforms.clusters[job.environment].scale(
            model=job.model,
            environment=platforms.settings.environments[job.environment],
            replicas=read_replicas(before),
            progress=_Unwaiting(context.job_id),
        )
    except Interrupted:
        return  # the bounds are set, and that is all that was wanted
    except (PermanentError, TemporaryError) as error:
        raise PermanentError(
            f"The search is over, but {job.model} on {job.environment} did not get its replicas' bounds back: {error}",
            advice=f"Set them: /scale {before} {job.model} on {job.environment}.",
        ) from error


class _Unwaiting:
    """A Progress for setting bounds whatever the job has come to: it never stops what is done, and never waits for what
    follows. Implements Progress."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id

    def report(self, done: float, total: float | None = None, *, fact: str = "") -> None:
        """Nothing."""

    def log(self, line: str) -> None:
        """Nothing."""

    def scaled(self, *, before: int, after: int, reason: str) -> None:
        """Nothing."""

    def wait(self, seconds: float) -> None:
        """Raise Interrupted: that what was set comes true is nobody's to wait for."""
        raise Interrupted("The bounds are set.")

    def check(self) -> None:
        """Nothing."""

    def save_external_id(self, kind: str, identity: str) -> None:
        """Nothing."""

    def external_id(self, kind: str) -> str | None:
        """None."""
        return None
