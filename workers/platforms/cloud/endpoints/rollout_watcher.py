"""Watch of a Deployment until its rollout is done, with progress reports on the way."""

import contextlib
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass

from workers.errors import PermanentError, TemporaryError
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
from workers.platforms.protocols.progress import Progress

_MAX_TROUBLES_LOGGED = 20
_SLACK_S = 30.0


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


class RolloutWatcher:
    """One wait for a Deployment. Entering the context opens the watches; `wait_until_ready` waits."""

    def __init__(
        self, objects: EndpointObjects, deployment: Object, *, progress: Progress, timing: RolloutTiming
    ) -> None:
        self._objects = objects
        self._version = f"v{deployed_release(deployment).version}"
        self._progress = progress
        self._timing = timing
        self._stack = ExitStack()
        self._logged: set[str] = set()

    def __enter__(self) -> "RolloutWatcher":
        watch, selector = self._objects.api.watch, self._objects.id.selector
        with ExitStack() as stack:
            self._deployments = stack.enter_context(watch("Deployment", fields=f"metadata.name={self._objects.name}"))
            self._replica_sets = stack.enter_context(watch("ReplicaSet", labels=selector))
            self._pods = stack.enter_context(watch("Pod", labels=selector))
            self._events = stack.enter_context(watch("Event", fields="type=Warning,involvedObject.kind=Pod"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_until_ready(
        self, *, minimum: int, maximum: float = math.inf, before: Object | None, set_to: int, reason: str
    ) -> Object:
        """Wait until the rollout is done with `minimum` to `maximum` ready replicas; return the Deployment.

        Reports every change of the ready count, starting from that of `before`. The reason is `reason` while `set_to`
        replicas are desired, and the autoscaler's own reason for any other number. Raises PermanentError with the
        cluster's own words if the rollout failed, cannot succeed or does not move.
        """
        moved_at_s, position = time.monotonic(), None
        ready = ready_replicas(before) if before else 0
        while True:
            deployment = self._deployment()
            known = {"replica_sets": self._replica_sets.now(), "pods": self._pods.now(), "events": self._events.now()}
            status = read_status(deployment, **known)
            ready = self._report(deployment, status, ready=ready, set_to=set_to, reason=reason)
            if status.done and minimum <= ready_replicas(deployment) <= maximum:
                return deployment
            if status.hopeless:
                raise PermanentError(self._failure(status, status.failed))
            if (now := _position(deployment)) != position:
                moved_at_s, position = time.monotonic(), now
            if time.monotonic() - moved_at_s > self._patience_s(deployment):
                waits_for = status.waits_for or "the desired number of replicas"
                raise PermanentError(self._failure(status, f"It still waits for {waits_for}."))
            self._progress.wait(self._timing.poll_s)

    def _deployment(self) -> Object:
        for deployment in self._deployments.now():
            if deployment["metadata"]["name"] == self._objects.name:
                return deployment
        raise PermanentError(f"The Deployment {self._objects.name} was deleted during the rollout.")

    def _report(self, deployment: Object, status: RolloutStatus, *, ready: int, set_to: int, reason: str) -> int:
        """Report replicas, progress and troubles that changed; return the ready count as reported."""
        for trouble in status.troubles:
            if trouble.message not in self._logged and len(self._logged) < _MAX_TROUBLES_LOGGED:
                self._logged.add(trouble.message)
                self._progress.log(trouble.message)
        desired, now = desired_replicas(deployment), ready_replicas(deployment)
        if not status.done:  # old and new replicas overlap during a rollout
            now = min(now, desired)
        if now != ready:
            if desired != set_to:
                reason = self._autoscaler_reason() or reason
            self._progress.scaled(before=ready, after=now, reason=reason)
        fact = f"{status.updated} of {desired} replicas of {self._version} ready"
        if status.troubles:
            fact = f"{fact}: {status.troubles[0].message}"
        self._progress.report(status.updated, desired, fact=fact)
        return now

    def _autoscaler_reason(self) -> str:
        api, name = self._objects.api, self._objects.name
        fields = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={name}"
        return scaling_reason(api.get("HorizontalPodAutoscaler", name), api.list("Event", fields=fields))

    def _failure(self, status: RolloutStatus, reason: str) -> str:
        """Return the error message: the troubles, or else `reason`, and the end of a crashed container's log."""
        messages = [trouble.message for trouble in status.troubles[:3]] or [reason]
        parts = [f"{self._version} does not become ready.", *messages]
        crashed = next((trouble.crashed_pod for trouble in status.troubles if trouble.crashed_pod), "")
        if crashed and (log := self._log_end(crashed)):
            parts.append(f"Its log ends: {log}")
        return " ".join(parts)

    def _log_end(self, pod: str) -> str:
        for previous in (True, False):
            with contextlib.suppress(TemporaryError):  # the failure is known without it
                if log := self._objects.api.logs(pod, container=CONTAINER, lines=5, previous=previous):
                    return " ".join(log.split())[-600:]
        return ""

    def _patience_s(self, deployment: Object) -> float:
        if self._timing.stuck_s is not None:
            return self._timing.stuck_s
        return float(deployment["spec"].get("progressDeadlineSeconds", 600)) + _SLACK_S


def wait_until_settled(objects: EndpointObjects, timing: RolloutTiming) -> None:
    """Wait until only one revision runs, at most `timing.undone_s`. Works without the progress of a cancelled job."""
    gives_up_at_s = time.monotonic() + timing.undone_s
    while time.monotonic() < gives_up_at_s:
        deployment = objects.api.get("Deployment", objects.name)
        if deployment is None or judge(deployment).done:
            return
        time.sleep(timing.poll_s)


def _position(deployment: Object) -> tuple[object, ...]:
    """Return the counts that change while a rollout moves."""
    status = deployment.get("status", {})
    counts = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return (desired_replicas(deployment), *(status.get(count, 0) for count in counts))
