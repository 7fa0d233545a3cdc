"""Robustness probe of a new version: how far an unusual request moves a prediction. Must not depend on the platform.

The first sample instance is the baseline. Each of its texts is replaced by an unseen category, by "" and by the word
that BigQuery ML's exports hold for NULL; the batch sizes must not change a prediction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.contract.settings import Model
from workers.platforms.protocols import Instance, Probe, Tested
from workers.platforms.serving.signature import Signature
from workers.platforms.smoke_test import SmokeTestFailed, asking, predict_once

UNSEEN = "seatrial-unseen-category"
_REPLACEMENTS = {UNSEEN: "an unseen", "": "an empty", "_null_filler": "a missing"}
BATCHES = (100, 1_000)
MOST_DEVIATIONS = 10.0
"""The largest move that `probe = "gate"` lets pass, in standard deviations of the label: a prediction that far outside
what was learned cannot be meant."""
MOST_PROBABILITY = 0.9
"""The same for a classifier: the largest change of the probability of the baseline's class."""
_NOTHING = 1e-6

Ask = Callable[[Sequence[Instance]], list[Any]]
"""Returns the endpoint's predictions. Raises SmokeTestFailed."""


@dataclass(frozen=True, slots=True)
class _Move:
    """A change of one feature, and how far it moved the prediction, in the unit of the finding."""

    what: str
    size: float


def examine_version(model: Model, signature: Signature, address: str, *, version: int, spread: float | None) -> Tested:
    """Send the sample to a served version, and probe it unless the settings say off. Raises SmokeTestFailed."""
    fact = predict_once(address, model=model.name, version=version, sample=model.sample, signature=signature)
    if model.probe == "off":
        return Tested(fact=fact, probe=Probe())
    ask = asking(address, model=model.name, version=version)
    return Tested(fact=fact, probe=probe(model, signature, ask, spread=spread))


def probe(model: Model, signature: Signature, ask: Ask, *, spread: float | None) -> Probe:
    """Return the largest move, in standard deviations of the label (`spread`) or as a change of probability.

    Raises SmokeTestFailed if a prediction depends on the batch, or a class is not the most probable one.
    """
    baseline = model.sample[0]
    (expected,) = ask([baseline])
    _check_batches(expected, baseline, signature, ask)
    moves = [
        _move(signature, ask, expected, {**baseline, name: text}, f"{words} {name}", spread)
        for name, value in baseline.items()
        if isinstance(value, str)
        for text, words in _REPLACEMENTS.items()
    ]
    if not moves:
        return Probe(finding="", passed=True)
    largest = max(moves, key=lambda move: move.size)
    classifies = signature.task == "classification"
    limit = MOST_PROBABILITY if classifies else MOST_DEVIATIONS
    return Probe(finding=_words(largest, signature, spread), passed=largest.size <= limit)


def _check_batches(expected: Any, baseline: Instance, signature: Signature, ask: Ask) -> None:
    for size in BATCHES:
        for prediction in ask([baseline] * size):
            if not math.isclose(_value(prediction, signature), _value(expected, signature), abs_tol=1e-5, rel_tol=1e-5):
                raise SmokeTestFailed(f"A prediction in a batch of {size:,} differs from the same one alone.")
    if signature.task == "classification":
        probabilities = expected[signature.probabilities]
        if _value(expected, signature) < max(probabilities) - 1e-6:
            raise SmokeTestFailed("The predicted class is not the one with the greatest probability.")


def _move(signature: Signature, ask: Ask, expected: Any, instance: Instance, what: str, spread: float | None) -> _Move:
    try:
        (prediction,) = ask([instance])
        if signature.task == "classification":
            label = _label(expected, signature)
            moved = abs(_probability(prediction, signature, label) - _probability(expected, signature, label))
        else:
            moved = abs(_value(prediction, signature) - _value(expected, signature)) / (spread or 1.0)
    except SmokeTestFailed:
        moved = math.inf
    return _Move(what, moved if math.isfinite(moved) else math.inf)


def _words(move: _Move, signature: Signature, spread: float | None) -> str:
    if math.isinf(move.size):
        return f"{move.what} gives no finite prediction"
    if move.size < _NOTHING:
        return "no unusual text moves the prediction"
    if signature.task == "classification":
        return f"{move.what} moves the probability of the predicted {signature.label} by {move.size:.2f}"
    unit = "standard deviations" if spread else f"(in the unit of {signature.label})"
    return f"{move.what} moves {signature.predicted} by {_rounded(move.size)} {unit}"


def _rounded(size: float) -> str:
    """Return the number with two significant digits: 3,900, 12 or 0.034."""
    digits = 1 - math.floor(math.log10(size))
    return f"{round(size, digits):,.{max(digits, 0)}f}"


def _value(prediction: Any, signature: Signature) -> float:
    if signature.task == "classification":
        return _probability(prediction, signature, _label(prediction, signature))
    return float(prediction[0])


def _label(prediction: Any, signature: Signature) -> str:
    predicted = prediction[signature.predicted]
    return str(predicted if isinstance(predicted, str) else predicted[0])


def _probability(prediction: Any, signature: Signature, label: str) -> float:
    values = [str(value) for value in prediction[signature.values]]
    return float(prediction[signature.probabilities][values.index(label)])
