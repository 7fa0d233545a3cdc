"""Job that checks whether a model can be trained, without a training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from workers.contract.jobs.job import Change, Outcome
from workers.contract.settings import Approvals, SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckPassed:
    """A model of `model_type` for `label` can be trained.

    `features` maps the features to their JSON types in a request. `cost` is the training's estimated cost for people.
    """

    kind: Literal["check_passed"] = "check_passed"
    model_type: str
    label: str
    features: Mapping[str, str]
    cost: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckModel:
    """Check the query, label, features and sample of `model`, at no cost. It does not wait for a training."""

    steps: ClassVar[tuple[str, ...]] = ("check",)
    outcome: ClassVar[type[Outcome]] = CheckPassed
    environment: ClassVar[None] = None
    load: ClassVar[None] = None
    change: ClassVar[Change | None] = None
    kind: Literal["check_model"] = "check_model"
    model: str

    @property
    def summary(self) -> str:
        return f"check {self.model}"

    @property
    def resource(self) -> str:
        return f"check:{self.model}"

    def approvals_needed(self, settings: SettingsFile) -> Approvals | None:
        return None

    def missing_setting(self, settings: SettingsFile) -> str:
        return "" if self.model in settings.models else f"model {self.model}"
