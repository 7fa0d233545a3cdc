"""Follows a Deployment by watch until it is as wanted, and tells what happens on the way."""

import contextlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from workers.errors import PermanentError, TemporaryError
from workers.platforms.cloud.endpoints.autoscaling import scaling_reason
from workers.platforms.cloud.endpoints.judgement import Judgement, judge
from workers.platforms.cloud.endpoints.manifests import CONTAINER, EndpointId
from workers.platforms.cloud.endpoints.revisions import newest
from workers.platforms.cloud.endpoints.troubles import troubles
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.http import Object
from workers.platforms.cloud.kubernetes.pods import Trouble
from workers.platforms.cloud.kubernetes.watch import Watched
from workers.platforms.protocols.progress import Progress

_LINES_OF_TROUBLE = 20
_SLACK_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutTiming:
    """How long is waited. Tests wait less.

    `poll_s`: how often the copy that the watches keep is looked at. `address_s`: until a load balancer has an address,
    a minute or two on most clouds. `answer_s`: until the first right answer. `undone_s`: for the revision before to be
    alone again; the cluster goes on with it in any case. `ended_s`: for pods to end (terminationGracePeriodSeconds is
    30). `stuck_s`: without any movement, where Kubernetes itself sets no deadline; None: the Deployment's own
    progressDeadlineSeconds.
    """

    poll_s: float = 0.25
    address_s: float = 240.0
    answer_s: float = 60.0
    undone_s: float = 60.0
    ended_s: float = 90.0
    stuck_s: float | None = None


class RolloutWatcher:
    """One wait for a Deployment. Enter it for the watches; `until` waits."""

    def __init__(
        self, api: Api, endpoint_id: EndpointId, *, version: int, progress: Progress, timing: RolloutTiming
    ) -> None:
        self._api = api
        self._endpoint_id = endpoint_id
        self._version = f"v{version}"
        self._progress = progress
        self._timing = timing
        self._stack = ExitStack()
        self._told: set[str] = set()

    def __enter__(self) -> "RolloutWatcher":
        with ExitStack() as stack:
            self._deployments = self._watch(stack, "Deployment", fields=f"metadata.name={self._endpoint_id.name}")
            self._replica_sets = self._watch(stack, "ReplicaSet", labels=self._endpoint_id.selector)
            self._pods = self._watch(stack, "Pod", labels=self._endpoint_id.selector)
            self._events = self._watch(stack, "Event", fields="type=Warning,involvedObject.kind=Pod")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def until(self, reached: Callable[[Object], bool], *, ready: int, set_to: int, why: str) -> Object:
        """Wait until the rollout is done and `reached` holds of the Deployment; return it.

        Every change of the ready count from `ready` on is told, with `why` as its reason while `set_to` replicas are
        wanted, and with the autoscaler's own words where it wants another count. Raises PermanentError with the
        cluster's own words when the rollout has failed, is hopeless or does not move.
        """
        moved_at_s, position = time.monotonic(), None
        while True:
            deployment = self._deployment()
            judgement = judge(deployment)
            # Nothing promises that the pods' watch is as far as the Deployment's: of what is done, it tells the past.
            found = () if judgement.done else self._troubles(deployment)
            ready = self._tell(deployment, judgement, found, ready=ready, set_to=set_to, why=why)
            if judgement.done and reached(deployment):
                return deployment
            hopeless = bool(found and found[0].hopeless)
            if judgement.failed or hopeless:
                raise PermanentError(self._failure(judgement, found))
            if (now := _position(deployment)) != position:
                moved_at_s, position = time.monotonic(), now
            if time.monotonic() - moved_at_s > self._patience_s(deployment):
                waits_for = judgement.waits_for or "the wanted number of replicas"
                raise PermanentError(self._failure(Judgement(failed=f"It still waits for {waits_for}."), found))
            self._progress.wait(self._timing.poll_s)

    def _watch(self, stack: ExitStack, kind: str, *, labels: dict[str, str] | None = None, fields: str = "") -> Watched:
        return stack.enter_context(self._api.watch(kind, labels=labels, fields=fields))

    def _deployment(self) -> Object:
        for deployment in self._deployments.now():
            if deployment["metadata"]["name"] == self._endpoint_id.name:
                return deployment
        raise PermanentError(f"The Deployment {self._endpoint_id.name} was deleted meanwhile.")

    def _troubles(self, deployment: Object) -> tuple[Trouble, ...]:
        return troubles(
            deployment=deployment,
            replica_sets=self._replica_sets.now(),
            pods=self._pods.now(),
            events=self._events.now(),
        )

    def _tell(
        self,
        deployment: Object,
        judgement: Judgement,
        found: tuple[Trouble, ...],
        *,
        ready: int,
        set_to: int,
        why: str,
    ) -> int:
        """Tell of replicas, progress and trouble where they changed; return the ready count as told."""
        for trouble in found:
            if trouble.words not in self._told and len(self._told) < _LINES_OF_TROUBLE:
                self._told.add(trouble.words)
                self._progress.log(trouble.words)
        wanted, now = _wanted(deployment), deployment.get("status", {}).get("readyReplicas", 0)
        if not judgement.done:  # old and new replicas side by side are no more than were wanted
            now = min(now, wanted)
        if now != ready:
            reason = why if wanted == set_to else self._autoscaler_says() or why
            self._progress.scaled(before=ready, after=now, reason=reason)
        updated = now if judgement.done else self._updated(deployment)
        fact = f"{updated} of {wanted} replicas of {self._version} ready"
        self._progress.report(updated, wanted, fact=f"{fact}: {found[0].words}" if found else fact)
        return int(now)

    def _updated(self, deployment: Object) -> int:
        """How many replicas of the newest template are ready; its watch may be behind that of the Deployment."""
        replica_set = newest(deployment, self._replica_sets.now())
        return int(replica_set.get("status", {}).get("readyReplicas", 0)) if replica_set else 0

    def _autoscaler_says(self) -> str:
        name = self._endpoint_id.name
        autoscaler = self._api.get("HorizontalPodAutoscaler", name)
        fields = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={name}"
        return scaling_reason(autoscaler, self._api.list("Event", fields=fields))

    def _failure(self, judgement: Judgement, found: tuple[Trouble, ...]) -> str:
        parts = [f"{self._version} does not become ready.", *(trouble.words for trouble in found[:3])]
        if not found:
            parts.append(judgement.failed)
        crashed = next((trouble.crashed for trouble in found if trouble.crashed), "")
        if crashed and (words := self._last_words(crashed)):
            parts.append(f"Its last words: {words}")
        return " ".join(parts)

    def _last_words(self, pod: str) -> str:
        for previous in (True, False):
            with contextlib.suppress(TemporaryError):  # what has failed is known without them
                if log := self._api.logs(pod, container=CONTAINER, lines=5, previous=previous):
                    return " ".join(log.split())[-600:]
        return ""

    def _patience_s(self, deployment: Object) -> float:
        if self._timing.stuck_s is not None:
            return self._timing.stuck_s
        return float(deployment["spec"].get("progressDeadlineSeconds", 600)) + _SLACK_S


def _wanted(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _position(deployment: Object) -> tuple[object, ...]:
    """What changes while a rollout moves."""
    status = deployment.get("status", {})
    counts = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return (_wanted(deployment), *(status.get(count, 0) for count in counts))
