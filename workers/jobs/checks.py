"""Free checks of a model, shared by trainings and by checks alone. Nothing is trained and nothing is paid here."""

from collections.abc import Mapping
from difflib import get_close_matches

from workers.context import Context
from workers.contract.settings import Model
from workers.contract.units import quoted
from workers.errors import PermanentError
from workers.platforms.protocols import Checked, Instance, JsonType, LiveVersion

_MOST_NAMES = 20


def check(model: Model, context: Context, *, live: LiveVersion | None) -> Checked:
    """Check the query, the label, the features, the sample and the columns of the live version.

    Raises PermanentError that names the field at fault.
    """
    checked = context.platforms.warehouse.check(model=model, live=live, progress=context)
    check_sample(model, checked.features)
    return checked


def check_sample(model: Model, features: Mapping[str, JsonType]) -> None:
    """Raise PermanentError unless each instance of the sample has exactly these features, with their types."""
    for number, instance in enumerate(model.sample, 1):
        _check_instance(model, number, instance, features)


def _check_instance(model: Model, number: int, instance: Instance, features: Mapping[str, JsonType]) -> None:
    if unknown := [name for name in instance if name not in features]:
        name = unknown[0]
        if name.casefold() == model.label.casefold():
            raise _mistake(model, number, f"it has the label {name}.", "Leave the label out: the model predicts it.")
        near = {feature.casefold(): feature for feature in features if feature not in instance}
        found = get_close_matches(name.casefold(), near, n=1)
        advice = f"Did you mean {near[found[0]]}?" if found else f"The query's features are {_names(features)}."
        raise _mistake(model, number, f"the query has no feature {quoted(name)}.", advice)
    if missing := [name for name in features if name not in instance]:
        problem = f"it lacks {_names(missing)}."
        raise _mistake(model, number, problem, "Give a value for each feature, or leave the column out of the query.")
    for name, value in instance.items():
        if features[name] not in ("any", found_type := _json_type(value)):
            advice = f"Write {name} as a {features[name]}, or change the column's type in the query."
            raise _mistake(model, number, f"{name} is a {found_type}; the column takes a {features[name]}.", advice)


def _json_type(value: object) -> JsonType:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _names(names: Mapping[str, JsonType] | list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(list(names)[:_MOST_NAMES]) + more


def _mistake(model: Model, number: int, problem: str, advice: str) -> PermanentError:
    return PermanentError(f"models.{model.name}.sample: instance {number}: {problem}", advice=advice)
