"""What there is to deploy and what is deployed, as the workers last told it. Pure values.

The registry of versions is the model store and the truth about endpoints is the cluster; the bot has no way into
either, so workers tell it: at their start, and after each job that changed something.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workers.contract.replicas import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A published version of a model. `digest` as in Deploy; metrics by ML.EVALUATE's names."""

    model: str
    version: int
    digest: str
    metrics: Mapping[str, float]
    size_bytes: int
    trained_by: str
    created_at_s: float
    job_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """An endpoint: `version` of `model` on `environment`, since `since_s`, put there by job `job_id`."""

    model: str
    environment: str
    version: int
    address: str
    ready: int
    replicas: Replicas
    since_s: float
    job_id: str
