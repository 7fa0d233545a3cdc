"""Objects of one endpoint in its namespace: found, described, scaled and deleted. Rollouts are in rollout.py."""

import time
from dataclasses import dataclass

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.endpoints.manifests import EndpointId, Manifests
from workers.platforms.cloud.endpoints.revisions import (
    bounds_annotation,
    deployed_release,
    is_verified,
    rollback_revision,
    verified_hash,
)
from workers.platforms.cloud.endpoints.status import (
    cpu_percent,
    desired_replicas,
    find_troubles,
    ready_replicas,
    scaling_trouble,
)
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.objects import Object, Objects
from workers.platforms.protocols import Endpoint, Environment, Replicas

_KINDS = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Service", "Deployment")
"""Kinds of an endpoint's objects, in the order of their deletion."""

_NO_AUTOSCALER = (
    "The autoscaler was deleted, so the number of replicas is no longer adjusted. Set the replicas again with /scale."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutTiming:
    """Limits of waits, in seconds. Tests shorten them.

    `poll_s`: interval between looks at the watched copy. `address_s`: until a load balancer has an address, one or two
    minutes on most clouds. `answer_s`: until the first correct answer. `undone_s`: until only the previous revision
    runs; the cluster continues in any case. `ended_s`: until pods end (terminationGracePeriodSeconds is 30).
    `stuck_s`: without any change; None: the Deployment's progressDeadlineSeconds and 30 s more.
    """

    poll_s: float = 0.25
    address_s: float = 240.0
    answer_s: float = 60.0
    undone_s: float = 60.0
    ended_s: float = 90.0
    stuck_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointObjects:
    """The Deployment, Service, autoscaler and disruption budget of one endpoint, and the limits of waits for them."""

    api: Api
    manifests: Manifests
    model: str
    environment: Environment
    timing: RolloutTiming

    @property
    def id(self) -> EndpointId:
        return EndpointId(model=self.model, environment=self.environment.name)

    @property
    def name(self) -> str:
        return self.id.name

    def find(self) -> Object | None:
        """Return the Deployment, or None. Raises PermanentError if one of this name is not Seatrial's."""
        found = self.api.get("Deployment", self.name)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        self.check_owner(found)
        return found

    def find_deployed(self) -> Object:
        """Return the Deployment. Raises PermanentError if the model is not deployed."""
        if deployment := self.find():
            return deployment
        raise PermanentError(
            f"{self.model} is not deployed on {self.environment.name}.", advice="Deploy a version there first."
        )

    def check_owner(self, found: Object) -> None:
        """Raise PermanentError if an object of this name is not Seatrial's."""
        if not self._owns(found):
            raise PermanentError(
                f"The {found['kind']} {self.name} in namespace {self.api.namespace} is not one of Seatrial's.",
                advice="Delete or rename it, or give the environment its own namespace.",
            )

    def describe(self, deployment: Object) -> Endpoint:
        """Return the endpoint as its objects describe it.

        Until a new release is verified, the endpoint's version is the one that was verified before.
        """
        serving = deployment
        if verified_hash(deployment) and not is_verified(deployment):
            serving = rollback_revision(deployment, self.replica_sets()) or deployment
        release = deployed_release(serving)
        autoscaler = None if release.replicas.fixed else self.api.get("HorizontalPodAutoscaler", self.name)
        deleted = autoscaler is None and not release.replicas.fixed and is_verified(deployment)
        service = self.api.get("Service", self.name)
        ready, desired = ready_replicas(deployment), desired_replicas(deployment)
        trouble = self._trouble(deployment) if ready < desired else ""
        return Endpoint(
            model=self.model,
            environment=self.environment.name,
            version=release.version,
            address=self.find_address(service) if service else "",
            ready=ready,
            desired=desired,
            replicas=release.replicas,
            cpu_percent=cpu_percent(autoscaler),
            trouble=trouble or (_NO_AUTOSCALER if deleted else scaling_trouble(autoscaler)),
            since_s=release.since_s,
            job_id=release.job_id,
        )

    def find_address(self, service: Object) -> str:
        """Return the base URL that the Service's type leads to, or "" before it is known.

        LoadBalancer: its address. NodePort: a node that runs a replica (every node answers). Otherwise the Service's
        DNS name, which resolves inside the cluster only.
        https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types
        """
        port = http_port(service)
        match service["spec"].get("type"):
            case "LoadBalancer":
                ingress = (service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}])[0]
                host = ingress.get("ip") or ingress.get("hostname") or ""
                return _url(host, port["port"]) if host else ""
            case "NodePort":
                hosts = sorted(pod["status"]["hostIP"] for pod in self.pods() if pod.get("status", {}).get("hostIP"))
                return _url(hosts[0], port["nodePort"]) if hosts and port.get("nodePort") else ""
        return _url(f"{self.name}.{self.api.namespace}.svc", port["port"])

    def set_bounds(self, deployment: Object, replicas: Replicas) -> int:
        """Record the bounds and apply them; return the number of replicas set now."""
        if replicas != deployed_release(deployment).replicas:
            self.api.patch("Deployment", self.name, {"metadata": {"annotations": bounds_annotation(replicas)}})
        return self.set_replicas(deployment, replicas)

    def set_replicas(self, deployment: Object, replicas: Replicas, *, previous: Object | None = None) -> int:
        """Keep the number of replicas within bounds, by an autoscaler unless they are fixed; return the number set now.

        It is the number within the bounds that is nearest to that of `previous`, or else to the present one. The
        autoscaler changes first: with its old bounds it would undo the change.
        """
        if replicas.fixed:
            self.api.delete("HorizontalPodAutoscaler", self.name)
        else:
            cpu_target = self.environment.cpu_target
            self.api.apply(self.manifests.autoscaler(self.id, replicas=replicas, cpu_target=cpu_target))
        now = desired_replicas(deployment)
        preferred = (desired_replicas(previous) if previous else 0) or now
        count = min(max(preferred, replicas.minimum), replicas.maximum)
        if count != now:
            self.api.scale("Deployment", self.name, count)
        return count

    def remove(self) -> None:
        """Delete the objects and wait until every pod has ended. Raises TemporaryError after `timing.ended_s`."""
        self.delete()
        gives_up_at_s = time.monotonic() + self.timing.ended_s
        while self.pods():
            if time.monotonic() > gives_up_at_s:
                raise TemporaryError(f"The pods of {self.name} have not ended within {self.timing.ended_s:g} s.")
            time.sleep(self.timing.poll_s)

    def delete(self) -> None:
        """Delete the objects that belong to this endpoint. Their pods end in the background."""
        for kind in _KINDS:
            found = self.api.get(kind, self.name)
            if found and self._owns(found):
                self.api.delete(kind, self.name)

    def pods(self) -> Objects:
        """Return the endpoint's pods, of all revisions."""
        return self.api.list("Pod", labels=self.id.selector)

    def replica_sets(self) -> Objects:
        """Return the endpoint's ReplicaSets, one for each revision."""
        return self.api.list("ReplicaSet", labels=self.id.selector)

    def _trouble(self, deployment: Object) -> str:
        troubles = find_troubles(deployment, replica_sets=self.replica_sets(), pods=self.pods(), events=())
        return troubles[0].message if troubles else ""

    def _owns(self, obj: Object) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(labels.get(key) == value for key, value in self.id.labels.items())


def http_port(service: Object) -> Object:
    """Return the Service's port of the REST API: the one named http, or its first."""
    ports: Objects = service["spec"]["ports"]
    return next((port for port in ports if port.get("name") == "http"), ports[0])


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
