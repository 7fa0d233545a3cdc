"""The kinds of jobs and their outcomes.

`KINDS` maps the name of a kind on the wire to its class. Its handler and its card are in modules of that name.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from workers.contract.jobs.deploy import Deploy, Deployed
from workers.contract.jobs.find_capacity import CapacityFound, FindCapacity, Probe
from workers.contract.jobs.job import Asked, Change, Job, Load, Outcome
from workers.contract.jobs.load_test import EarlierRuns, LoadTest, Tested
from workers.contract.jobs.scale import Rescaled, Scale
from workers.contract.jobs.train_model import Trained, TrainModel

__all__ = [
    "KINDS",
    "AnyJob",
    "AnyOutcome",
    "Asked",
    "CapacityFound",
    "Change",
    "Deploy",
    "Deployed",
    "EarlierRuns",
    "FindCapacity",
    "Job",
    "Load",
    "LoadTest",
    "Outcome",
    "Probe",
    "Rescaled",
    "Scale",
    "Tested",
    "TrainModel",
    "Trained",
]

KINDS: Mapping[str, type[Job]] = {
    "train_model": TrainModel,
    "deploy": Deploy,
    "scale": Scale,
    "load_test": LoadTest,
    "find_capacity": FindCapacity,
}


class _ByKind:
    """Annotation for pydantic: decode to the class that the field `kind` names."""

    def __init__(self, classes: Iterable[type]) -> None:
        self._classes = tuple(classes)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union: Any = Union[self._classes]  # noqa: UP007  # a union of a table's entries has no other spelling
        return handler.generate_schema(Annotated[union, Field(discriminator="kind")])


AnyJob = Annotated[Job, _ByKind(KINDS.values())]
AnyOutcome = Annotated[Outcome, _ByKind(kind.outcome for kind in KINDS.values())]
