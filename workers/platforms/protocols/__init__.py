"""Protocols of the external services that jobs use, one module each, with all values in their signatures.

Every adapter wraps the errors of its SDK in `PermanentError` or `TemporaryError` (workers.errors) and raises no other.
Long calls take a `Progress`, through which they report and are cancelled: they pass its Interrupted on.
"""

from workers.contract.findings import Finding as Finding
from workers.contract.replicas import Replicas as Replicas
from workers.contract.settings import Environment as Environment, Model as Model
from workers.platforms.protocols.artifacts import Artifacts as Artifacts, Manifest as Manifest
from workers.platforms.protocols.cluster import Cluster as Cluster, Endpoint as Endpoint, Release as Release
from workers.platforms.protocols.images import Images as Images, Instance as Instance, Probe as Probe, Tested as Tested
from workers.platforms.protocols.load import (
    TOO_LATE as TOO_LATE,
    LoadGenerator as LoadGenerator,
    LoadResult as LoadResult,
    RunningLoad as RunningLoad,
    TrafficPlan as TrafficPlan,
)
from workers.platforms.protocols.platforms import Diagnosable as Diagnosable, Platforms as Platforms
from workers.platforms.protocols.progress import Progress as Progress
from workers.platforms.protocols.warehouse import (
    Checked as Checked,
    Comparison as Comparison,
    Evaluation as Evaluation,
    JsonType as JsonType,
    LiveVersion as LiveVersion,
    Training as Training,
    Warehouse as Warehouse,
)
