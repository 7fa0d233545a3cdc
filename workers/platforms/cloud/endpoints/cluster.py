"""Adapter of the Protocol Cluster to Kubernetes.

All facts about an endpoint are stored on its objects, which any worker can read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from workers.platforms.cloud.endpoints.diagnosis import diagnose
from workers.platforms.cloud.endpoints.endpoint_objects import EndpointObjects, RolloutTiming
from workers.platforms.cloud.endpoints.manifests import Manifests
from workers.platforms.cloud.endpoints.rollout import Rollout
from workers.platforms.cloud.endpoints.rollout_watcher import RolloutWatcher
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.protocols import Endpoint, Environment, Finding, Progress, Release, Replicas


@dataclass(frozen=True, kw_only=True, slots=True)
class KubernetesCluster:
    """Protocol Cluster in one namespace of a Kubernetes cluster, 1.30 or newer. Any number may share a namespace."""

    api: Api
    manifests: Manifests = field(default_factory=Manifests)
    timing: RolloutTiming = field(default_factory=RolloutTiming)

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        objects = self._objects(release.model.name, release.environment)
        deployment = Rollout(objects=objects, release=release, progress=progress).run()
        return _described(objects.describe(deployment), progress)

    def set_bounds(self, *, model: str, environment: Environment, replicas: Replicas) -> None:
        objects = self._objects(model, environment)
        objects.set_bounds(objects.find_deployed(), replicas)

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        objects = self._objects(model, environment)
        before = objects.find_deployed()
        progress.check()
        set_to = objects.set_bounds(before, replicas)
        reason = f"replicas set to {replicas}"
        watcher = RolloutWatcher(objects=objects, progress=progress, before=before, set_to=set_to, reason=reason)
        deployment = watcher.wait_until_ready(minimum=replicas.minimum, maximum=replicas.maximum)
        return _described(objects.describe(deployment), progress)

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """Read three or four objects, and more if a replica is not ready."""
        objects = self._objects(model, environment)
        deployment = objects.find()
        return None if deployment is None else objects.describe(deployment)

    def remove(self, *, model: str, environment: Environment) -> None:
        """Delete all objects and wait until every pod has ended. Raises TemporaryError after `ended_s`."""
        self._objects(model, environment).remove()

    def diagnose(self) -> Iterator[Finding]:
        return diagnose(self.api)

    def _objects(self, model: str, environment: Environment) -> EndpointObjects:
        return EndpointObjects(
            api=self.api, manifests=self.manifests, model=model, environment=environment, timing=self.timing
        )


def _described(endpoint: Endpoint, progress: Progress) -> Endpoint:
    """Log a problem of an endpoint that is up, such as an autoscaler without metrics."""
    if endpoint.trouble:
        progress.log(endpoint.trouble)
    return endpoint
