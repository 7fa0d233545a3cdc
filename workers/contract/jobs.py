"""What can be asked of the workers: one frozen class a kind of job. Pure values.

Every job tells its `steps` (their names, in their order), its `target` (the key under which only one job runs at a
time) and a `summary` (the job in a few words for a person, no mark-up).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from workers.contract.load import MOST_PROBES, Abort, Shape, Slo, Spacing, Stage
from workers.contract.shown import show_duration, show_number


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
        return _endpoint(self.environment, self.model)

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
        return _endpoint(self.environment, self.model)

    @property
    def summary(self) -> str:
        """See above."""
        return f"scale {self.model} on {self.environment} to {self.replicas}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadTest:
    """Send requests to an endpoint at the rate of `shape` for `duration_s` seconds, after a ramp of `ramp_s` to it.

    `environment` is an environment's name, or a target's: then there is no model, `model` is "", and `owner` is whom
    the settings name for it. `abort` None: the test runs to its end, whatever fails. The ramp is not judged.
    """

    steps: ClassVar = ("find endpoint", "load", "report")
    kind: Literal["load_test"] = "load_test"
    model: str
    environment: str
    shape: Shape
    duration_s: float
    ramp_s: float = 0.0
    spacing: Spacing = "constant"
    slo: Slo
    abort: Abort | None = None
    owner: str = ""

    @property
    def rate_rps(self) -> float:
        """The highest rate of the test: what caps and approvals look at."""
        return self.shape.highest_rps

    @property
    def whole_s(self) -> float:
        """How long it lasts, the ramp included: what the hard limit looks at."""
        return self.ramp_s + self.duration_s

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The rate over the whole test, the ramp first where there is one."""
        stages = self.shape.stages(self.duration_s)
        ramp = Stage(from_rps=0.0, to_rps=stages[0].from_rps, length_s=self.ramp_s)
        return (ramp, *stages) if self.ramp_s else stages

    @property
    def target(self) -> str:
        """See above."""
        return _endpoint(self.environment, self.model)

    @property
    def summary(self) -> str:
        """See above."""
        spacing = ", Poisson arrivals," if self.spacing == "poisson" else ""
        where = _where(self.environment, self.model)
        return f"load test {where} at {self.shape}{spacing} for {show_duration(self.duration_s)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FindCapacity:
    """Search the highest rate between `lowest_rps` and `highest_rps` at which an endpoint still holds `slo`.

    Each rate that is tried stands for `probe_s` seconds. `hold_replicas`: the replicas there are now stay as they are
    while the search lasts; otherwise the autoscaler may add some, up to its bounds.
    """

    steps: ClassVar = ("find endpoint", "search", "report")
    kind: Literal["find_capacity"] = "find_capacity"
    model: str
    environment: str
    lowest_rps: float
    highest_rps: float
    probe_s: float
    hold_replicas: bool = False
    slo: Slo
    owner: str = ""

    @property
    def rate_rps(self) -> float:
        """The highest rate that may be tried: what caps and approvals look at."""
        return self.highest_rps

    @property
    def whole_s(self) -> float:
        """How long it may load the endpoint, all its probes together: what the hard limit looks at."""
        return MOST_PROBES * self.probe_s

    @property
    def target(self) -> str:
        """See above."""
        return _endpoint(self.environment, self.model)

    @property
    def summary(self) -> str:
        """See above."""
        between = f"{show_number(self.lowest_rps)} to {show_number(self.highest_rps)} rps"
        held = ", replicas held" if self.hold_replicas else ""
        return f"find the capacity of {_where(self.environment, self.model)} for {self.slo}, {between}{held}"


def _endpoint(environment: str, model: str) -> str:
    return f"endpoint:{environment}/{model}"


def _where(environment: str, model: str) -> str:
    return f"{model} on {environment}" if model else environment


Job = TrainModel | Deploy | Scale | LoadTest | FindCapacity

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
