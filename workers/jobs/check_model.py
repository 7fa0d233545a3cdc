"""`/model check`: the free checks of a training, alone."""

from workers.context import Context
from workers.contract.jobs import CheckModel, CheckPassed
from workers.jobs.checks import check
from workers.jobs.gate import find_live


def check_model(job: CheckModel, context: Context) -> CheckPassed:
    model = context.platforms.settings.models[job.model]
    with context.step("check") as step:
        checked = check(model, context, live=find_live(model, context))
        step.fact = checked.cost
    return CheckPassed(model_type=model.type, label=model.label, features=dict(checked.features), cost=checked.cost)
