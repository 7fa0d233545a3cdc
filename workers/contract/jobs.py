"""What can be asked of the workers: one frozen class a kind of job. Pure values.

Every job tells its `steps` (their names, in their order), its `target` (the key under which only one job runs at a
time) and a `summary` (the job in a few words for a person, no mark-up).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicas:
    """Bounds of an endpoint's replica count, `minimum..maximum`; equal bounds mean a fixed count.

    Both are at least 1 (a HorizontalPodAutoscaler's own lower bound) and minimum ≤ maximum.
    """

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"replicas {self.minimum}..{self.maximum}: wanted 1 ≤ minimum ≤ maximum")

    def __str__(self) -> str:
        return str(self.minimum) if self.fixed else f"{self.minimum}..{self.maximum}"

    @property
    def fixed(self) -> bool:
        """Whether no autoscaler is wanted."""
        return self.minimum == self.maximum


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainModel:
    """Make the next version of `model`: train, evaluate, gate, export, version, package, try, publish."""

    steps: ClassVar = ("train", "evaluate", "gate", "export", "package", "smoke test", "publish")
    kind: Literal["train_model"] = "train_model"
    model: str

    @property
    def target(self) -> str:
        """See above."""
        return f"model:{self.model}"

    @property
    def summary(self) -> str:
        """See above."""
        return f"train {self.model}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deploy:
    """Roll `version` of `model` out on `environment`.

    `digest` is the version's content digest ("sha256:…") as it was when the job was asked for: what was
    approved is what runs, or nothing does. `replicas` None keeps what runs there, or else the settings' bounds.
    """

    steps: ClassVar = ("check version", "roll out")
    kind: Literal["deploy"] = "deploy"
    model: str
    version: int
    environment: str
    digest: str
    replicas: Replicas | None = None

    @property
    def target(self) -> str:
        """See above."""
        return f"endpoint:{self.environment}/{self.model}"

    @property
    def summary(self) -> str:
        """See above."""
        with_replicas = f" with {self.replicas} replicas" if self.replicas else ""
        return f"deploy {self.model} v{self.version} to {self.environment}{with_replicas}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Give an endpoint a fixed number of replicas, or bounds between which its autoscaler moves."""

    steps: ClassVar = ("scale",)
    kind: Literal["scale"] = "scale"
    model: str
    environment: str
    replicas: Replicas

    @property
    def target(self) -> str:
        """See above."""
        return f"endpoint:{self.environment}/{self.model}"

    @property
    def summary(self) -> str:
        """See above."""
        return f"scale {self.model} on {self.environment} to {self.replicas}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slo:
    """What a load test must hold: latency in milliseconds by percentile, and a share of failed requests.

    `latency_ms` maps a percentile in (0, 100) to its upper bound; `errors_percent` is in [0, 100] or None.
    """

    latency_ms: tuple[tuple[float, float], ...] = ()
    errors_percent: float | None = None

    def __str__(self) -> str:
        parts = [f"p{percentile:g}<{bound:g}ms" for percentile, bound in self.latency_ms]
        if self.errors_percent is not None:
            parts.append(f"errors<{self.errors_percent:g}%")
        return ",".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadTest:
    """Send `rate_rps` requests a second to an endpoint for `duration_s` seconds, after a ramp of `ramp_s`."""

    steps: ClassVar = ("find endpoint", "load", "report")
    kind: Literal["load_test"] = "load_test"
    model: str
    environment: str
    rate_rps: float
    duration_s: float
    ramp_s: float = 0.0
    slo: Slo

    @property
    def target(self) -> str:
        """See above."""
        return f"endpoint:{self.environment}/{self.model}"

    @property
    def summary(self) -> str:
        """See above."""
        return f"load test {self.model} on {self.environment} at {self.rate_rps:g} rps for {self.duration_s:g} s"


Job = TrainModel | Deploy | Scale | LoadTest

JOB_KINDS: tuple[str, ...] = tuple(kind.__dataclass_fields__["kind"].default for kind in get_args(Job))


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Who asked for a job, and where the answer belongs. Opaque ids of the chat: nothing here reads them.

    `by` and `where` are a person's and a conversation's id, `by_name` what to call the person in a log,
    `at_s` Unix seconds.
    """

    by: str
    by_name: str
    where: str
    at_s: float
    scheduled_by: str | None = None
