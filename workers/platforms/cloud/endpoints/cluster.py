"""The cluster on Kubernetes: a Deployment, a Service, an autoscaler and a disruption budget for each endpoint.

Everything that is known of an endpoint is kept on its objects, so that any worker finds it again. Server-side apply
makes every step repeatable: https://kubernetes.io/docs/reference/using-api/server-side-apply/

The number of replicas is never applied: it is set through the scale subresource, which the autoscaler uses too. An
applied count that is left out later would fall back to 1 for the moment in which nobody owns it.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

from workers.contract.findings import Finding
from workers.contract.replicas import Replicas
from workers.contract.settings import Environment
from workers.errors import Interrupted, JobError, PermanentError, ShuttingDown, Superseded, TemporaryError
from workers.platforms.cloud.endpoints.address import verify
from workers.platforms.cloud.endpoints.diagnosis import diagnose
from workers.platforms.cloud.endpoints.judgement import judge
from workers.platforms.cloud.endpoints.lookup import address_of, check_mine, count_of, describe, find, is_mine, ready_of
from workers.platforms.cloud.endpoints.manifests import EndpointId, Manifests, ReleaseNotes, back_to, origin_of
from workers.platforms.cloud.endpoints.revisions import VERIFIED, fingerprint, is_verified, undo_to, verified_of
from workers.platforms.cloud.endpoints.rollout_watcher import RolloutTiming, RolloutWatcher
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.http import Object
from workers.platforms.protocols.cluster import Endpoint, Release
from workers.platforms.protocols.progress import Progress

logger = logging.getLogger(__name__)

_KINDS = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Service", "Deployment")
"""What an endpoint is made of, in the order in which it is taken down."""


class KubernetesCluster:
    """Protocol Cluster in one namespace of a Kubernetes cluster, 1.30 or newer."""

    def __init__(self, *, api: Api, manifests: Manifests | None = None, timing: RolloutTiming | None = None) -> None:
        """Any number of these may share a namespace. `manifests` None: the YAML in k8s/serving."""
        self._api = api
        self._manifests = manifests or Manifests()
        self._timing = timing or RolloutTiming()

    def roll_out(self, *, release: Release, progress: Progress) -> Endpoint:
        """Bring the release up; see Cluster.

        Where it fails or is stopped, the newest revision that was ever proven comes back; a first release is removed.
        A Superseded attempt undoes nothing: the endpoint belongs to the attempt after it. Nor does TemporaryError: the
        next attempt goes on.
        """
        endpoint_id = _endpoint_id(release.model.name, release.environment)
        before = find(self._api, endpoint_id)
        check_mine(self._api, endpoint_id, "Service", self._api.get("Service", endpoint_id.name))
        wanted = self._wanted(endpoint_id, release, before)
        progress.check()
        try:
            deployment = self._bring_up(endpoint_id, release, wanted, before, progress)
            progress.check()
        except (Superseded, TemporaryError):
            raise
        except (PermanentError, Interrupted) as error:
            self._undo_because_of(error, endpoint_id, release, wanted, before)
            raise
        if not is_verified(deployment):
            wanted["metadata"]["annotations"][VERIFIED] = fingerprint(wanted)
            deployment = self._api.apply(wanted)
        return self._described(endpoint_id, deployment, progress)

    def set_bounds(self, *, model: str, environment: Environment, replicas: Replicas) -> None:
        """Set the bounds and return; see Cluster."""
        endpoint_id = _endpoint_id(model, environment)
        self._set_bounds(endpoint_id, self._deployed(endpoint_id), replicas, environment)

    def scale(self, *, model: str, environment: Environment, replicas: Replicas, progress: Progress) -> Endpoint:
        """Set the bounds and wait; see Cluster."""
        endpoint_id = _endpoint_id(model, environment)
        before = self._deployed(endpoint_id)
        progress.check()
        set_to = self._set_bounds(endpoint_id, before, replicas, environment)
        with self._following(endpoint_id, origin_of(before).version, progress) as following:
            deployment = following.until(
                lambda now: replicas.minimum <= ready_of(now) <= replicas.maximum,
                ready=ready_of(before),
                set_to=set_to,
                why=f"replicas set to {replicas}",
            )
        return self._described(endpoint_id, deployment, progress)

    def endpoint(self, *, model: str, environment: Environment) -> Endpoint | None:
        """What runs now; see Cluster. Three or four reads of single objects; more only while something is amiss."""
        endpoint_id = _endpoint_id(model, environment)
        deployment = find(self._api, endpoint_id)
        return None if deployment is None else describe(self._api, endpoint_id, deployment)

    def remove(self, *, model: str, environment: Environment) -> None:
        """Stop serving and wait until every pod has ended; see Cluster. TemporaryError where they do not in time."""
        endpoint_id = _endpoint_id(model, environment)
        self._delete(endpoint_id)
        gives_up_at_s = time.monotonic() + self._timing.ended_s
        while self._api.list("Pod", labels=endpoint_id.selector):
            if time.monotonic() > gives_up_at_s:
                raise TemporaryError(f"The pods of {endpoint_id.name} do not end.")
            time.sleep(self._timing.poll_s)

    def _described(self, endpoint_id: EndpointId, deployment: Object, progress: Progress) -> Endpoint:
        """The endpoint; what is amiss with it although it is up is told: an autoscaler without metrics, for one."""
        endpoint = describe(self._api, endpoint_id, deployment)
        if endpoint.trouble:
            progress.log(endpoint.trouble)
        return endpoint

    def diagnose(self) -> Iterator[Finding]:
        """What `doctor` tells of the cluster and the rights in its namespace; see Diagnosable."""
        return diagnose(self._api)

    # ------------------------------------------------------------------------------------------ up

    def _wanted(self, endpoint_id: EndpointId, release: Release, before: Object | None) -> Object:
        """The Deployment to apply. What is there already keeps the name of the job that brought it."""
        manifest = release.manifest
        if not manifest.image:
            raise PermanentError(
                f"{manifest.model} v{manifest.version} has no container image, which Kubernetes needs.",
                advice="Set [images] in seatrial.toml and train a new version.",
            )

        was = origin_of(before) if before else None
        origin = ReleaseNotes(
            version=manifest.version,
            digest=manifest.digest,
            replicas=release.replicas,
            job_id=release.job_id,
            asked_by=release.asked_by,
            since_s=time.time(),
            proven=was.proven if was else "",
        )
        made = self._deployment(endpoint_id, release, origin)
        if before is None or was is None or fingerprint(before) != fingerprint(made):
            return made
        if not is_verified(before) and was.job_id != release.job_id:
            return made
        kept = replace(origin, job_id=was.job_id, asked_by=was.asked_by, since_s=was.since_s)
        return self._deployment(endpoint_id, release, kept)

    def _deployment(self, endpoint_id: EndpointId, release: Release, origin: ReleaseNotes) -> Object:
        return self._manifests.deployment(
            endpoint_id, origin, image=release.manifest.image, cpu_request=release.environment.cpu_request
        )

    def _bring_up(
        self, endpoint_id: EndpointId, release: Release, wanted: Object, before: Object | None, progress: Progress
    ) -> Object:
        """Apply, follow, find the address, ask once; return the Deployment."""
        service = self._api.apply(self._manifests.service(endpoint_id))
        applied = self._api.apply(wanted)
        set_to = self._set_replicas(endpoint_id, applied, release.replicas, cpu_target=release.environment.cpu_target)
        self._api.apply(self._manifests.disruption_budget(endpoint_id))
        version = release.manifest.version
        why = f"v{version} is rolled out" if before else f"replicas set to {release.replicas}"
        with self._following(endpoint_id, version, progress) as following:
            deployment = following.until(
                lambda now: ready_of(now) >= release.replicas.minimum,
                ready=ready_of(before) if before else 0,
                set_to=set_to,
                why=why,
            )
        address = self._await_address(endpoint_id, service, progress)
        patience_s = self._timing.answer_s
        fact = verify(
            self._api, service=service, address=address, release=release, progress=progress, patience_s=patience_s
        )
        progress.log(f"{address} answers: {fact}")
        return deployment

    def _deployed(self, endpoint_id: EndpointId) -> Object:
        deployment = find(self._api, endpoint_id)
        if deployment is None:
            raise PermanentError(
                f"{endpoint_id.model} is not deployed on {endpoint_id.environment}.",
                advice="Deploy a version there first.",
            )
        return deployment

    def _set_bounds(
        self, endpoint_id: EndpointId, deployment: Object, replicas: Replicas, environment: Environment
    ) -> int:
        """Annotate the Deployment with the bounds and set the replicas; return the count set now."""
        if replicas != origin_of(deployment).replicas:
            bounds = {"seatrial/replicas": f"{replicas.minimum}..{replicas.maximum}"}
            self._api.patch("Deployment", endpoint_id.name, {"metadata": {"annotations": bounds}})
        return self._set_replicas(endpoint_id, deployment, replicas, cpu_target=environment.cpu_target)

    def _set_replicas(
        self,
        endpoint_id: EndpointId,
        deployment: Object,
        replicas: Replicas,
        *,
        cpu_target: int,
        wished: int | None = None,
    ) -> int:
        """Have the autoscaler, or nobody, keep the count within `replicas`; return the count set now.

        It is the one nearest to `wished`, or else to what it is.

        The autoscaler comes or goes first: it must not pull the count back to where its old bounds want it.
        """
        if replicas.fixed:
            self._api.delete("HorizontalPodAutoscaler", endpoint_id.name)
        else:
            self._api.apply(self._manifests.autoscaler(endpoint_id, replicas=replicas, cpu_target=cpu_target))
        now = count_of(deployment)
        count = min(max(wished or now, replicas.minimum), replicas.maximum)
        if count != now:
            self._api.scale("Deployment", endpoint_id.name, count)
        return count

    def _await_address(self, endpoint_id: EndpointId, service: Object, progress: Progress) -> str:
        gives_up_at_s = time.monotonic() + self._timing.address_s
        while True:
            if address := address_of(self._api, endpoint_id, service):
                return address
            if time.monotonic() > gives_up_at_s:
                raise PermanentError(
                    f"The Service {endpoint_id.name} has no address.",
                    advice="Look at `kubectl describe service`: a cluster without a cloud gives no LoadBalancer.",
                )
            progress.report(0, None, fact=f"waiting for the address of the Service {endpoint_id.name}")
            progress.wait(self._timing.poll_s)
            service = self._api.get("Service", endpoint_id.name) or service

    def _following(self, endpoint_id: EndpointId, version: int, progress: Progress) -> RolloutWatcher:
        return RolloutWatcher(self._api, endpoint_id, version=version, progress=progress, timing=self._timing)

    # ------------------------------------------------------------------------------------------ back

    def _undo_because_of(
        self, error: JobError, endpoint_id: EndpointId, release: Release, wanted: Object, before: Object | None
    ) -> None:
        """Undo. Where that fails too, a PermanentError says both; an interruption is passed on as it is."""
        try:
            undone = self._undo(endpoint_id, release, wanted, before)
            if undone is not None and not isinstance(error, ShuttingDown):
                self._await_quietly(endpoint_id)
        except JobError as second:
            logger.warning("%s could not be undone: %s", endpoint_id.name, second)
            if isinstance(error, PermanentError):
                raise PermanentError(f"{error} It could not be undone: {second}", advice=error.advice) from error

    def _undo(self, endpoint_id: EndpointId, release: Release, wanted: Object, before: Object | None) -> Object | None:
        """Bring back what was proven last; return its Deployment, or None where there is nothing to wait for."""
        now = find(self._api, endpoint_id)
        if now is None or not verified_of(now):
            self._delete(endpoint_id)
            return None
        back = before if is_verified(now) else undo_to(now, self._api.list("ReplicaSet", labels=endpoint_id.selector))
        if back is None:
            raise PermanentError(
                f"None of the revisions that are kept of {endpoint_id.name} is the one that was proven."
            )
        restored = self._api.apply(back_to(wanted, back))
        self._set_replicas(
            endpoint_id,
            restored,
            origin_of(back).replicas,
            cpu_target=release.environment.cpu_target,
            wished=count_of(before) if before else None,
        )
        return restored

    def _await_quietly(self, endpoint_id: EndpointId) -> None:
        """Wait until the revision that came back is alone again. A cancelled job cannot wait through its progress."""
        gives_up_at_s = time.monotonic() + self._timing.undone_s
        while time.monotonic() < gives_up_at_s:
            deployment = self._api.get("Deployment", endpoint_id.name)
            if deployment is None or judge(deployment).done:
                return
            time.sleep(self._timing.poll_s)

    def _delete(self, endpoint_id: EndpointId) -> None:
        for kind in _KINDS:
            found = self._api.get(kind, endpoint_id.name)
            if found and is_mine(found, endpoint_id):
                self._api.delete(kind, endpoint_id.name)


def _endpoint_id(model: str, environment: Environment) -> EndpointId:
    return EndpointId(model=model, environment=environment.name)
