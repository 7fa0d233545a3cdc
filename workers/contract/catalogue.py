"""Published versions and endpoints, as values.

The bot has no access to the model store or to a cluster. Workers publish these values for it when they start, and
after each job that changed something.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.contract.replicas import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A published version of a model. `digest` is as in Deploy; `metrics` have the names of ML.EVALUATE.

    `probe` is the finding of the robustness probe, or "". `means` are those of the numeric features in training.
    """

    model: str
    version: int
    digest: str
    metrics: Mapping[str, float]
    size_bytes: int
    trained_by: str
    created_at_s: float
    job_id: str
    probe: str = ""
    means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """An endpoint: `version` of `model` on `environment`, deployed by job `job_id` at `since_s`."""

    model: str
    environment: str
    version: int
    address: str
    ready: int
    replicas: Replicas
    since_s: float
    job_id: str
