"""How a job ended well: one frozen class a kind of job. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from workers.contract.jobs import Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Version `version` is in the registry. `metrics` by ML.EVALUATE's names; `digest` as in Deploy."""

    kind: Literal["trained"] = "trained"
    version: int
    digest: str
    metrics: Mapping[str, float]
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """An endpoint answers with `version` at `address`; `previous` ran before, None where nothing did."""

    kind: Literal["deployed"] = "deployed"
    version: int
    previous: int | None
    address: str
    ready: int
    replicas: Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescaled:
    """An endpoint's replicas went from `before` to `after` (counts ready), and now lie within `replicas`."""

    kind: Literal["rescaled"] = "rescaled"
    before: int
    after: int
    replicas: Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """A load test's report. `verdict` PASS, FAIL or INVALID with its reasons in words; `latency_ms` by percentile."""

    kind: Literal["tested"] = "tested"
    verdict: Literal["PASS", "FAIL", "INVALID"]
    reasons: tuple[str, ...]
    asked_rps: float
    achieved_rps: float
    requests: int
    failures: int
    failures_by_kind: Mapping[str, int]
    latency_ms: Mapping[float, float]
    replicas_before: int
    replicas_most: int
    scaled_after_s: float | None


Outcome = Trained | Deployed | Rescaled | Tested
