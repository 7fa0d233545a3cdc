"""The handler of the toy kind. Becomes workers/jobs/warm_up.py."""

from workers.contract.jobs.warm_up import WarmedUp, WarmUp

from workers.context import Context


def warm_up(job: WarmUp, context: Context) -> WarmedUp:
    """Pretend to send requests."""
    with context.step("warm up") as step:
        step.fact = "3 requests"
    return WarmedUp(requests=3)
