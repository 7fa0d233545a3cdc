"""The kinds of jobs and their outcomes.

`KINDS` maps the name of a kind on the wire to its class. Its handler and its card are in modules of that name.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union

from pydantic import Field, GetPydanticSchema

from workers.contract.jobs.check_model import CheckModel, CheckPassed
from workers.contract.jobs.deploy import Deploy, Deployed
from workers.contract.jobs.find_capacity import CapacityFound, FindCapacity, Probe
from workers.contract.jobs.job import Asked, Change, Job, Load, Outcome
from workers.contract.jobs.load_test import EarlierRuns, LoadTest, Tested
from workers.contract.jobs.scale import Rescaled, Scale
from workers.contract.jobs.train_model import Trained, TrainModel
from workers.contract.jobs.unreadable import UnreadableJob

__all__ = ["KINDS", "AnyJob", "AnyOutcome", "Asked", "Change", "Job", "Load", "Outcome"]
__all__ += ["CheckModel", "Deploy", "EarlierRuns", "FindCapacity", "LoadTest", "Probe", "Scale", "TrainModel"]
__all__ += ["UnreadableJob"]
__all__ += ["CapacityFound", "CheckPassed", "Deployed", "Rescaled", "Tested", "Trained"]

KINDS: Mapping[str, type[Job]] = {
    "train_model": TrainModel,
    "check_model": CheckModel,
    "deploy": Deploy,
    "scale": Scale,
    "load_test": LoadTest,
    "find_capacity": FindCapacity,
}


def _by_kind(classes: Iterable[type]) -> GetPydanticSchema:
    """Return an annotation for pydantic: decode to the class that the field `kind` names."""
    union: Any = Union[tuple(classes)]  # noqa: UP007  # a union of a table's entries has no other spelling
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(Annotated[union, Field(discriminator="kind")]))


AnyJob = Annotated[Job, _by_kind(KINDS.values())]
AnyOutcome = Annotated[Outcome, _by_kind(kind.outcome for kind in KINDS.values())]
