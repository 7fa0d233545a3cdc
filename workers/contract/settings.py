"""Values of the settings file `seatrial.toml`, which the bot and the workers share. `settings_reader` reads it.

Secrets and addresses of services do not belong here: they come from the environment (bot.settings, workers.settings).
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from workers.contract.create_model import settings_of
from workers.contract.gate import Bound, check_metrics, live_environment, read_bound
from workers.contract.load import Abort, Slo
from workers.contract.replicas import Replicas
from workers.contract.table_files import TableSetting
from workers.contract.training_options import read_options
from workers.contract.units import read_abort, read_duration_s, read_rate_rps, read_replicas, read_size_bytes, read_slo
from workers.contract.validators import matching, not_empty, quantity, scalar

ModelType = Literal[
    "linear_reg",
    "logistic_reg",
    "boosted_tree_classifier",
    "boosted_tree_regressor",
    "random_forest_classifier",
    "random_forest_regressor",
]


# A DNS label (RFC 1123), short enough to be part of the name of a Kubernetes object beside a prefix and a suffix.
_NAME = "a name has at most 40 lower-case letters, digits and -, begins with a letter and does not end with -"
Name = Annotated[str, matching(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", _NAME)]
# Column names that BigQuery accepts unquoted: https://cloud.google.com/bigquery/docs/schemas#column_names
_COLUMN = "a column name has only letters, digits and _, and does not begin with a digit"
Column = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]{0,299}", _COLUMN)]
_URL = "write the whole URL without a user, like https://host/path"
Instance = dict[str, Annotated[str | int | float | bool, BeforeValidator(scalar)]]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Model(_Table):
    """`[models.NAME]`: a model to train."""

    name: Name = Field(alias="NAME")
    type: ModelType
    """BigQuery ML's model_type."""
    label: Column
    """The column to predict."""
    query: Annotated[str, StringConstraints(min_length=1)]
    """SQL in BigQuery's dialect; its columns are the features and the label."""
    sample: Annotated[tuple[Instance, ...], AfterValidator(not_empty)]
    """Instances that every new version must predict before it is published. Load tests send the first one."""
    gate: dict[str, Annotated[Bound, quantity(read_bound)]] = {}
    """Metric of ML.EVALUATE → bound, like ">= 0.9", or ">= live - 0.01" for the version that is live on an environment.
    A version that misses one is not published. Default: no gate."""
    options: dict[str, Any] = {}
    """OPTIONS of BigQuery ML's CREATE MODEL, by name. Default: BigQuery ML's defaults."""
    probe: Literal["warn", "gate", "off"] = "warn"
    """What a prediction that moves far for an unusual request does. "warn": the card names the feature. "gate": the
    version is not published. Default: warn."""
    max_bytes: Annotated[int, quantity(read_size_bytes)] = 100 * 10**9
    """The most that the query may read in BigQuery, or else it fails. Default 100GB: limits the cost of a typo."""

    @model_validator(mode="before")
    @classmethod
    def _pasted(cls, table: Any) -> Any:
        """Take `sql`, a CREATE MODEL statement, instead of type, label, query and options."""
        if not isinstance(table, dict) or not isinstance(sql := table.get("sql"), str):
            return table
        if both := sorted({"type", "label", "query", "options"} & table.keys()):
            raise ValueError(f"sql has {', '.join(both)} already; remove one of the two")
        try:
            read = settings_of(sql)
        except ValueError as error:
            raise ValueError(f"sql: {error}") from error
        return {**{key: value for key, value in table.items() if key != "sql"}, **read}

    @field_validator("options")
    @classmethod
    def _options_exist(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        model_type = info.data.get("type")
        return dict(read_options(options, model_type=model_type)) if model_type else options

    @field_validator("gate")
    @classmethod
    def _metrics_exist(cls, gate: dict[str, Bound], info: ValidationInfo) -> dict[str, Bound]:
        if model_type := info.data.get("type"):
            check_metrics(gate, model_type=model_type)
        return gate


class Approvals(_Table):
    """`approvals = { … }` of an environment or target: the people who must approve a job there."""

    count: int = Field(default=1, ge=1, le=20)
    """The number of people who must approve."""
    from_: tuple[str, ...] = Field(default=(), alias="from")
    """User ids, or user groups as "@handle". Default: any full member."""
    expires_s: Annotated[float, quantity(read_duration_s)] = Field(default=1800.0, alias="expires")
    """Time until a request expires. Default 30m: longer than most meetings, and still the same day."""
    own: bool = False
    """Let requesters approve their own jobs. Default: false, because approval means a second person."""


class _Place(_Table):
    """Base of environments and load targets."""

    section: ClassVar[str]
    name: Name = Field(alias="NAME")
    approvals: Approvals | None = None
    """Default: no approval."""
    max_load_rps: Annotated[float, quantity(read_rate_rps)] | None = Field(default=None, alias="max_load")
    """Load tests above this rate need approval; without `approvals`, they are refused. Default: no cap."""

    @property
    def key(self) -> str:
        """Return the path of the table in the settings file."""
        return f"{self.section}.{self.name}"


class Environment(_Place):
    """`[environments.NAME]`: a cluster, or this machine, that serves models."""

    section = "environments"
    cluster: str = "local"
    """"local" (processes on the worker's machine) or a cluster's address. Default: local."""
    replicas: Annotated[Replicas, quantity(read_replicas)] = Replicas(minimum=1, maximum=1)
    """A fixed count or the bounds of the autoscaler. Default 1."""
    cpu_target: int = Field(default=60, ge=1, le=1000)
    """The autoscaler's target in percent of the CPU request. Default 60: absorbs bursts while replicas start."""
    cpu_request: Annotated[
        str,
        # Not zero: the autoscaler measures use as a share of the request.
        matching(r"(?=.*[1-9])([0-9]+m|[0-9]+(\.[0-9]+)?)", 'write an amount of CPU above 0, like "250m" or "2"'),
    ] = "500m"
    """CPU of one replica, as a Kubernetes quantity ("250m" = a quarter of a core). Default 500m."""

    @property
    def cpu_request_cores(self) -> float:
        """Return the CPU request in cores."""
        text = self.cpu_request
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


class LoadTarget(_Place):
    """`[targets.NAME]`: a URL that load tests may use, beside the environments."""

    section = "targets"
    url: Annotated[str, matching(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?", _URL)]
    """The URL of every request. Redirects count as failures and are not followed."""
    owner: Annotated[str, StringConstraints(min_length=1)]
    """The contact for the target: "@handle" of a user group, or a user id. Each card of a test names it."""
    body: dict[str, Any] | None = None
    """JSON to POST. Default: requests are GET."""
    private: bool = False
    """Allow a host name that resolves to private addresses (RFC 1918, loopback, link-local). Default: false, because
    a test must not open a way into the network. Cloud metadata servers are always refused."""


class LoadTestDefaults(_Table):
    """`[loadtest]`: defaults and limits of load tests."""

    slo: Annotated[Slo, quantity(read_slo)] = Slo(latency_ms=((95.0, 200.0),), errors_percent=1.0)
    """Default p95<200ms,errors<1%: feels immediate to people, and leaves an error budget for restarts."""
    duration_s: Annotated[float, quantity(read_duration_s)] = Field(default=60.0, alias="duration")
    """Default 60s: enough for two decisions of a HorizontalPodAutoscaler."""
    abort: Annotated[Abort, quantity(read_abort)] = Abort(errors_percent=50.0, for_s=10.0)
    """The rule that stops a test early. Default errors>50% for 10s: spares a target that is down."""
    longest_s: Annotated[float, quantity(read_duration_s)] = Field(default=3600.0, alias="longest")
    """The longest duration of a test, ramp included. Default 1h."""
    locustfile: str | None = None
    """The path of your Locust file, relative to the settings file; its user classes send the requests. Default: our
    Locust file, which sends each request at its scheduled time."""
    image: str = "seatrial-load:0.1.0"
    """The image for load tests on Kubernetes (target `load` of the Dockerfile)."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.duration_s > self.longest_s:
            raise ValueError("duration must not be longer than longest")
        return self


Role = Literal["asker", "approvers", "admins", "everyone"]
"""`asker`: the person who asked for the job, or added the schedule. `approvers`: those of its environment."""


class Rights(_Table):
    """`[rights]`: the people who may change what others asked for."""

    cancel: Annotated[tuple[Role, ...], AfterValidator(not_empty)] = ("asker", "approvers", "admins")
    """Who may cancel a job. Stopping a load test is everybody's. Default: those who answer for it."""
    schedules: Annotated[tuple[Role, ...], AfterValidator(not_empty)] = ("asker", "approvers", "admins")
    """Who may pause, resume or remove a schedule. Default: as for cancel."""


class ChatSettings(_Table):
    """`[slack]`: how the bot treats people and other apps."""

    trusted_bots: tuple[Annotated[str, matching(r"[ABUW][A-Z0-9]{4,20}", 'write an id like "B012ABCDEF"')], ...] = ()
    """Ids of other bots, apps or workflows (their bot, app or user id) that may give commands. Default: none."""
    notify: bool = True
    """Mention the asker at the end of a job that took longer than `notify_after`."""
    notify_after_s: Annotated[float, quantity(read_duration_s)] = Field(default=60.0, alias="notify_after")
    """Default 60s: the asker still looks at a shorter job."""


class ImageSettings(_Table):
    """`[images]`: container images of models. Required for environments on Kubernetes."""

    repository: str
    """The repository to push to: "us-docker.pkg.dev/PROJECT/REPOSITORY", or any other "REGISTRY/PATH"."""
    tensorflow: str = "tensorflow/serving:2.19.1"
    """The image that serves SavedModels. Pinned: the version that we tested."""
    seatrial: str = "seatrial-serving:0.1.0"
    """Seatrial's serving image (target `serving` of the Dockerfile) for XGBoost and ONNX models, which TensorFlow
    Serving does not support."""


class SettingsFile(_Table):
    """The whole settings file."""

    models: dict[str, Model] = {}
    environments: dict[str, Environment] = {}
    targets: dict[str, LoadTarget] = {}
    loadtest: LoadTestDefaults = LoadTestDefaults()
    rights: Rights = Rights()
    slack: ChatSettings = ChatSettings()
    tables: dict[str, TableSetting] = {}
    """BigQuery table name → CSV or Parquet file, relative to the settings file. For the local warehouse."""
    warehouse: str = "local"
    """"local" or "bigquery://PROJECT/DATASET/LOCATION", with a location like "US" or "europe-west4"."""
    artifacts: str = "local"
    """"local" (a folder under SEATRIAL_HOME) or "gs://BUCKET/PREFIX"."""
    images: ImageSettings | None = None
    """Default: no images. Replicas on this machine read the model's folder."""

    @property
    def places(self) -> Mapping[str, Environment | LoadTarget]:
        """Return the environments and load targets by name."""
        return {**self.environments, **self.targets}

    def place(self, name: str) -> Environment | LoadTarget:
        """Return the environment or load target `name`. Raises KeyError if it does not exist."""
        return self.places[name]

    @model_validator(mode="after")
    def _gates_name_an_environment(self) -> Self:
        for model in self.models.values():
            live_environment(model.name, model.gate, environments=tuple(self.environments))
        return self

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
    """The settings cannot be used. `mistakes` has a sentence for each mistake."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
