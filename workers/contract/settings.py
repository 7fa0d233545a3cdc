"""The settings file `seatrial.toml`: what the bot and the workers both read, as values; settings_reader reads it.

Secrets and addresses of services come from the environment instead (bot.settings, workers.settings).
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from workers.contract.load import Abort, Slo
from workers.contract.replicas import Replicas
from workers.contract.units import (
    read_abort,
    read_duration_s,
    read_rate_rps,
    read_replicas,
    read_size_bytes,
    read_slo,
)

ModelType = Literal["linear_reg", "logistic_reg", "boosted_tree_classifier", "boosted_tree_regressor"]


def matching(pattern: str, expectation: str) -> AfterValidator:
    """Return a validator that refuses text unless all of it matches `pattern`."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(expectation)
        return text

    return AfterValidator(check)


def _text(read: Callable[[str], Any]) -> BeforeValidator:
    """Read a quantity with `read`. A bare number goes there too, so that one without its unit is refused."""

    def from_toml(value: object) -> object:
        return read(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value

    return BeforeValidator(from_toml)


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("it must be a text, a finite number or true or false")
    return value


def _some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("it must hold at least one")
    return values


# A DNS label (RFC 1123), short enough to be part of the name of a Kubernetes object beside a prefix and a suffix.
Name = Annotated[
    str,
    matching(
        r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?",
        "a name has lower-case letters, digits and - only, a letter first, no - last, and at most 40 characters",
    ),
]
# What BigQuery takes as a column's name unquoted; https://cloud.google.com/bigquery/docs/schemas#column_names
Column = Annotated[
    str, matching(r"[A-Za-z_][A-Za-z0-9_]{0,299}", "a column's name has letters, digits and _ only, no digit first")
]
Bound = Annotated[str, matching(r"\s*(>=|<=|>|<)\s*-?[0-9]+(\.[0-9]+)?\s*", 'write the bound like ">= 0.9"')]
Instance = dict[str, Annotated[str | int | float | bool, BeforeValidator(_scalar)]]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Model(_Table):
    """`[models.NAME]`: what to train."""

    name: Name = Field(alias="NAME")
    type: ModelType
    """BigQuery ML's model_type."""
    label: Column
    """The column to predict."""
    query: Annotated[str, StringConstraints(min_length=1)]
    """SQL in BigQuery's dialect; its columns are the features and the label."""
    sample: Annotated[tuple[Instance, ...], AfterValidator(_some)]
    """Instances that every new version must answer before it is published; load tests send the first."""
    gate: dict[str, Bound] = {}
    """Metric → bound (">= 0.9"): a version that misses one is not published. Default: no gate."""
    max_bytes: Annotated[int, _text(read_size_bytes)] = 100 * 10**9
    """What its query may read in BigQuery, refused above it. Default 100GB: a slip of the pen costs no fortune."""


class Approvals(_Table):
    """`approvals = { … }` of an environment: who must agree before anything is changed there."""

    count: int = Field(default=1, ge=1, le=20)
    """How many people must approve."""
    from_: tuple[str, ...] = Field(default=(), alias="from")
    """User ids, or user groups as "@handle"; empty: any full member."""
    expires_s: Annotated[float, _text(read_duration_s)] = Field(default=1800.0, alias="expires")
    """How long a request stands: long enough for a meeting, short enough that it is still about today. Default 30m."""
    own: bool = False
    """Whether the asker may approve. Default no: four eyes."""


class Environment(_Table):
    """`[environments.NAME]`: where models are served."""

    name: Name = Field(alias="NAME")
    cluster: str = "local"
    """"local" (processes on the worker's machine) or a cluster's address. Default: local."""
    replicas: Annotated[Replicas, _text(read_replicas)] = Replicas(minimum=1, maximum=1)
    """Fixed count or autoscaling bounds. Default 1."""
    cpu_target: int = Field(default=60, ge=1, le=1000)
    """Percent of the CPU request that the autoscaler aims at. Default 60: room for a burst while replicas start."""
    cpu_request: Annotated[
        str,
        # No zero: the autoscaler measures use as a share of the request.
        matching(r"(?=.*[1-9])([0-9]+m|[0-9]+(\.[0-9]+)?)", 'write more than no CPU, like "250m" or "2"'),
    ] = "500m"
    """CPU of one replica, as a Kubernetes quantity ("250m" = a quarter of a core). Default 500m."""
    approvals: Approvals | None = None
    """Default: none needed."""
    max_load_rps: Annotated[float, _text(read_rate_rps)] | None = Field(default=None, alias="max_load")
    """The rate above which a load test here needs approval, and is refused where none is set. Default: no cap."""

    @property
    def key(self) -> str:
        """Where it stands in the settings file."""
        return f"environments.{self.name}"

    @property
    def cpu_request_cores(self) -> float:
        """The CPU request in cores."""
        text = self.cpu_request
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


class LoadTarget(_Table):
    """`[targets.NAME]`: an address beside the environments that may be loaded."""

    name: Name = Field(alias="NAME")
    url: Annotated[
        str,
        matching(
            r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?",
            "write the whole address, like https://host/path, no user",
        ),
    ]
    """Where every request goes. Redirects are not followed: they count as failures."""
    owner: Annotated[str, StringConstraints(min_length=1)]
    """Whom to ask about it: "@handle" of a user group, or a user id. Every card of a test names them."""
    body: dict[str, Any] | None = None
    """JSON that is sent with POST. Default: none; requests are GET."""
    private: bool = False
    """Whether its name may lead to private addresses (RFC 1918, loopback, link-local). Default no: a test must not
    be a way into the network. Cloud metadata servers are refused always."""
    approvals: Approvals | None = None
    """Default: none needed."""
    max_load_rps: Annotated[float, _text(read_rate_rps)] | None = Field(default=None, alias="max_load")
    """As an environment's."""

    @property
    def key(self) -> str:
        """Where it stands in the settings file."""
        return f"targets.{self.name}"


class LoadTestDefaults(_Table):
    """`[loadtest]`: what holds where a command does not say."""

    slo: Annotated[Slo, _text(read_slo)] = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
    """Default p95<200ms,errors<1%: what a person takes for instant, and a budget for restarts."""
    duration_s: Annotated[float, _text(read_duration_s)] = Field(default=60.0, alias="duration")
    """Default 60s: two of a HorizontalPodAutoscaler's decisions and some."""
    abort: Annotated[Abort, _text(read_abort)] = Abort(errors_percent=50.0, for_s=10.0)
    """When a test is ended early. Default errors>50% for 10s: a target that is down is not hammered."""
    longest_s: Annotated[float, _text(read_duration_s)] = Field(default=3600.0, alias="longest")
    """The longest that a test may last, its ramp included. Default 1h."""
    locustfile: str | None = None
    """A Locust file of your own, whose user classes send the requests in place of ours; relative to the settings file.
    Default: ours, which sends every request at its scheduled instant."""
    image: str = "seatrial-load:0.1.0"
    """The image of load tests on Kubernetes (target `load` of the Dockerfile)."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.duration_s > self.longest_s:
            raise ValueError("duration must not be longer than longest")
        return self


class ImageSettings(_Table):
    """`[images]`: where models are built into container images. Needed for environments on Kubernetes."""

    repository: str
    """Where images are pushed: "us-docker.pkg.dev/PROJECT/REPOSITORY", or any other "REGISTRY/PATH"."""
    tensorflow: str = "tensorflow/serving:2.19.1"
    """The image that serves SavedModels, pinned: what was tried is what runs."""
    seatrial: str = "seatrial-serving:0.1.0"
    """Our own serving image (target `serving` of the Dockerfile), for XGBoost boosters and ONNX, which TensorFlow
    Serving cannot serve."""


class SettingsFile(_Table):
    """The whole file."""

    models: dict[str, Model] = {}
    environments: dict[str, Environment] = {}
    targets: dict[str, LoadTarget] = {}
    loadtest: LoadTestDefaults = LoadTestDefaults()
    tables: dict[str, Annotated[str, matching(r".+\.(csv|parquet)", "it must be a .csv or .parquet file")]] = {}
    """BigQuery table name → CSV or Parquet file, for the warehouse on this machine; relative to the settings file."""
    warehouse: str = "local"
    """"local" or "bigquery://PROJECT/DATASET/LOCATION" (like "US" or "europe-west4"). Default: this machine."""
    artifacts: str = "local"
    """"local" or "gs://BUCKET/PREFIX". Default: a folder under SEATRIAL_HOME."""
    images: ImageSettings | None = None
    """Default: no images; replicas on this machine read the model's folder."""

    @property
    def places(self) -> Mapping[str, Environment | LoadTarget]:
        """What can be loaded, by name."""
        return {**self.environments, **self.targets}

    def place(self, name: str) -> Environment | LoadTarget:
        """What can be loaded under `name`. Raises KeyError where the settings know no such name."""
        return self.places[name]

    @model_validator(mode="after")
    def _places_differ(self) -> Self:
        if both := sorted(self.environments.keys() & self.targets.keys()):
            raise ValueError(f"environments and targets must have different names, and both have {', '.join(both)}")
        return self

    @field_validator("models", "environments", "targets", mode="before")
    @classmethod
    def _named(cls, tables: Any) -> Any:
        if not isinstance(tables, Mapping):
            return tables
        return {key: {**table, "NAME": key} if isinstance(table, dict) else table for key, table in tables.items()}


class SettingsError(Exception):
    """The settings cannot be used. `mistakes`: one sentence each, all of them."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
