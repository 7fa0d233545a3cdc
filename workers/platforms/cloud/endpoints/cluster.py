"""Adapter of the Protocol Cluster to Kubernetes.

All facts about an endpoint are stored on its objects, which any worker can read.
"""

from collections.abc import Iterator

from workers.contract.findings import Finding
from workers.contract.replicas import Replicas
from workers.contract.settings import Environment
from workers.platforms.cloud.endpoints.diagnosis import diagnose
from workers.platforms.cloud.endpoints.endpoint_objects import EndpointObjects, RolloutTiming
from workers.platforms.cloud.endpoints.manifests import Manifests
from workers.platforms.cloud.endpoints.rollout import Rollout
from workers.platforms.cloud.endpoints.rollout_watcher import RolloutWatcher
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.protocols.cluster import Endpoint, Release
from workers.platforms.protocols.progress import Progress


class KubernetesCluster:
    """Protocol Cluster in one namespace of a Kubernetes cluster, 1.30 or newer."""

    def __init__(self, *, api: Api, manifests: Manifests | None = None, timing: RolloutTiming | None = None) -> None:
        """Any number of these may share a namespace. `manifests` defaults to the YAML in k8s/serving."""
        self._api = api
        self._manifests = manifests or Manifests()
        self._timing = timing or RolloutTiming()

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        """Bring the release up; see Cluster. On failure, see Rollout.run."""
        objects = self._objects(release.model.name, release.environment)
        deployment = Rollout(objects=objects, release=release, progress=progress).run()
        return _described(objects.describe(deployment), progress)

    def set_bounds(self, *, model: str, environment: Environment, replicas: Replicas) -> None:
        """Set the bounds and return; see Cluster."""
        objects = self._objects(model, environment)
        objects.set_bounds(objects.find_deployed(), replicas)

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        """Set the bounds and wait; see Cluster."""
        objects = self._objects(model, environment)
        before = objects.find_deployed()
        progress.check()
        set_to = objects.set_bounds(before, replicas)
        reason = f"replicas set to {replicas}"
        watcher = RolloutWatcher(objects=objects, progress=progress, before=before, set_to=set_to, reason=reason)
        deployment = watcher.wait_until_ready(minimum=replicas.minimum, maximum=replicas.maximum)
        return _described(objects.describe(deployment), progress)

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """Describe the endpoint; see Cluster. Reads three or four objects, and more if a replica is not ready."""
        objects = self._objects(model, environment)
        deployment = objects.find()
        return None if deployment is None else objects.describe(deployment)

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving and wait until every pod has ended; see Cluster. Raises TemporaryError after `ended_s`."""
        self._objects(model, environment).remove()

    def diagnose(self) -> Iterator[Finding]:
        """Check the connection and the rights in the namespace; see Diagnosable."""
        return diagnose(self._api)

    def _objects(self, model: str, environment: Environment) -> EndpointObjects:
        return EndpointObjects(
            api=self._api, manifests=self._manifests, model=model, environment=environment, timing=self._timing
        )


def _described(endpoint: Endpoint, progress: Progress) -> Endpoint:
    """Log a problem of an endpoint that is up, such as an autoscaler without metrics."""
    if endpoint.trouble:
        progress.log(endpoint.trouble)
    return endpoint
