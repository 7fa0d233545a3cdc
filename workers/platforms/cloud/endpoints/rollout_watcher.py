"""Watch of a Deployment until its rollout is done, with progress reports on the way."""

import math
import time
from dataclasses import dataclass, field

from workers.errors import PermanentError
from workers.platforms.cloud.endpoints.endpoint_objects import EndpointObjects
from workers.platforms.cloud.endpoints.manifests import CONTAINER
from workers.platforms.cloud.endpoints.revisions import deployed_release
from workers.platforms.cloud.endpoints.status import (
    RolloutStatus,
    desired_replicas,
    judge,
    read_status,
    ready_replicas,
    scaling_reason,
)
from workers.platforms.cloud.kubernetes.objects import Object
from workers.platforms.protocols import Progress

_MAX_TROUBLES_LOGGED = 20
_SLACK_S = 30.0


@dataclass(kw_only=True)
class RolloutWatcher:
    """One wait for a Deployment.

    It reports every change of the ready count, starting from that of `before`. The reason is `reason` while `set_to`
    replicas are desired, and the autoscaler's own reason for any other number.
    """

    objects: EndpointObjects
    progress: Progress
    before: Object | None
    set_to: int
    reason: str
    _ready: int = field(init=False)
    _logged: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ready = ready_replicas(self.before) if self.before else 0

    def wait_until_ready(self, *, minimum: int, maximum: float = math.inf) -> Object:
        """Wait until the rollout is done with `minimum` to `maximum` ready replicas; return the Deployment.

        Raises PermanentError with the cluster's own words if the rollout failed, cannot succeed or does not move.
        """
        watch, selector = self.objects.api.watch, self.objects.id.selector
        moved_at_s, position = time.monotonic(), None
        with (
            watch("Deployment", fields=f"metadata.name={self.objects.name}") as deployments,
            watch("ReplicaSet", labels=selector) as replica_sets,
            watch("Pod", labels=selector) as pods,
            watch("Event", fields="type=Warning,involvedObject.kind=Pod") as events,
        ):
            while True:
                deployment = next(iter(deployments.now()), None)
                if deployment is None:
                    raise PermanentError(f"The Deployment {self.objects.name} was deleted during the rollout.")
                known = {"replica_sets": replica_sets.now(), "pods": pods.now(), "events": events.now()}
                status = read_status(deployment, **known)
                self._report(deployment, status)
                if status.done and minimum <= ready_replicas(deployment) <= maximum:
                    return deployment
                if status.hopeless:
                    raise PermanentError(self._failure(deployment, status, status.failed))
                if (now := _position(deployment)) != position:
                    moved_at_s, position = time.monotonic(), now
                if time.monotonic() - moved_at_s > self._patience_s(deployment):
                    waits_for = status.waits_for or "the desired number of replicas"
                    raise PermanentError(self._failure(deployment, status, f"It still waits for {waits_for}."))
                self.progress.wait(self.objects.timing.poll_s)

    def _report(self, deployment: Object, status: RolloutStatus) -> None:
        """Report replicas, progress and troubles that changed."""
        for trouble in status.troubles:
            if trouble.message not in self._logged and len(self._logged) < _MAX_TROUBLES_LOGGED:
                self._logged.add(trouble.message)
                self.progress.log(trouble.message)
        desired, now = desired_replicas(deployment), ready_replicas(deployment)
        if not status.done:  # old and new replicas overlap during a rollout
            now = min(now, desired)
        if now != self._ready:
            reason = self._autoscaler_reason() if desired != self.set_to else ""
            self.progress.scaled(before=self._ready, after=now, reason=reason or self.reason)
            self._ready = now
        fact = f"{status.updated} of {desired} replicas of {_version(deployment)} ready"
        if status.troubles:
            fact = f"{fact}: {status.troubles[0].message}"
        self.progress.report(status.updated, desired, fact=fact)

    def _autoscaler_reason(self) -> str:
        api, name = self.objects.api, self.objects.name
        fields = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={name}"
        return scaling_reason(api.get("HorizontalPodAutoscaler", name), api.list("Event", fields=fields))

    def _failure(self, deployment: Object, status: RolloutStatus, reason: str) -> str:
        """Return the error message: the troubles, or else `reason`, and the end of a crashed container's log."""
        messages = [trouble.message for trouble in status.troubles[:3]] or [reason]
        parts = [f"{_version(deployment)} does not become ready.", *messages]
        crashed = next((trouble.crashed_pod for trouble in status.troubles if trouble.crashed_pod), "")
        if crashed and (log := self.objects.api.log_end(crashed, CONTAINER)):
            parts.append(f"Its log ends: {' '.join(log.split())[-600:]}")
        return " ".join(parts)

    def _patience_s(self, deployment: Object) -> float:
        if self.objects.timing.stuck_s is not None:
            return self.objects.timing.stuck_s
        return float(deployment["spec"].get("progressDeadlineSeconds", 600)) + _SLACK_S


def wait_until_settled(objects: EndpointObjects) -> None:
    """Wait until only one revision runs, at most `undone_s`. Works without the progress of a cancelled job."""
    gives_up_at_s = time.monotonic() + objects.timing.undone_s
    while time.monotonic() < gives_up_at_s:
        deployment = objects.api.get("Deployment", objects.name)
        if deployment is None or judge(deployment).done:
            return
        time.sleep(objects.timing.poll_s)


def _version(deployment: Object) -> str:
    return f"v{deployed_release(deployment).version}"


def _position(deployment: Object) -> tuple[object, ...]:
    """Return the counts that change while a rollout moves."""
    status = deployment.get("status", {})
    counts = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return (desired_replicas(deployment), *(status.get(count, 0) for count in counts))
