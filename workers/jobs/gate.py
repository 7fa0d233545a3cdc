"""The quality gate of a training: its bounds, and the live version that they may refer to."""

from collections.abc import Mapping

from workers.context import Context
from workers.contract.gate import live_environment
from workers.contract.settings import Model
from workers.errors import PermanentError
from workers.platforms.protocols import Comparison, Evaluation, LiveVersion


def find_live(model: Model, context: Context) -> LiveVersion | None:
    """Return the version that the gate refers to, or None if it refers to none, or if nothing is live there yet."""
    platforms = context.platforms
    environments = platforms.settings.environments
    name = live_environment(model.name, model.gate, environments=tuple(environments))
    if name is None:
        return None
    endpoint = platforms.clusters[name].endpoint(model=model.name, environment=environments[name])
    if endpoint is None:
        return None
    folder = platforms.artifacts.folder(model=model.name, version=endpoint.version)
    return LiveVersion(version=endpoint.version, environment=name, folder=folder)


def pass_gate(
    model: Model, version: int, evaluation: Evaluation, *, live: LiveVersion | None, context: Context
) -> None:
    """Raise PermanentError if the version misses a bound. Bounds on live are skipped if nothing is live."""
    if not model.gate:
        context.skip("gate", f"models.{model.name}.gate sets no bound")
        return
    with context.step("gate") as step:
        comparison = None
        if live:
            comparison = context.platforms.warehouse.compare(model=model, version=version, live=live, progress=context)
        found = [judge(model, name, evaluation, live, comparison) for name in model.gate]
        if missed := [fact for met, fact in found if not met]:
            raise PermanentError(
                f"Quality gate failed: {'; '.join(missed)}.",
                advice=f"Nothing was published. Change the query, or models.{model.name}.gate, and train again.",
            )
        facts = [fact for _, fact in found]
        step.fact = ", ".join([*facts, f"both {comparison.note}"] if comparison else facts)


def judge(
    model: Model, metric: str, evaluation: Evaluation, live: LiveVersion | None, comparison: Comparison | None
) -> tuple[bool, str]:
    """Return True if the metric meets its bound, and a fact with the values. Raises PermanentError without a value."""
    bound = model.gate[metric]
    if not bound.relative:
        value = _value(model, metric, evaluation.metrics, evaluation.note)
        met = bound.met(value)
        return met, f"{metric} {bound.show(value)}{' ' if met else ', required '}{bound}"
    if live is None or comparison is None:
        return True, f"{metric} {bound} skipped: no version is live yet"
    value = _value(model, metric, comparison.new, comparison.note)
    before = _value(model, metric, comparison.live, f"{comparison.note}, v{live.version}")
    required = bound.against(before)
    met = required.met(value)
    compared = f"v{live.version} on {live.environment} {before:.6g}"
    if met:
        return True, f"{metric} {required.show(value)} {bound} ({compared})"
    shown, required_shown = required.show_both(value)
    return False, f"{metric} {shown}, required {bound}, so {required_shown} ({compared})"


def _value(model: Model, metric: str, metrics: Mapping[str, float], note: str) -> float:
    if metric in metrics:
        return metrics[metric]
    raise PermanentError(
        f"models.{model.name}.gate: {metric} cannot be computed ({note}).",
        advice=f"Set bounds for these: {', '.join(metrics)}.",
    )
