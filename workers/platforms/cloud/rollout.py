"""What the objects of a Deployment tell: how far its rollout is, what stands in its way, what to go back to. Pure.

Objects are the API's own JSON. The judgement is `kubectl rollout status`'s, by the same fields in the same order:
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
TEMPLATE = "seatrial/template"
"""Annotation: a hash of the pod template as it was applied, by which releases are told apart. The Deployment's
annotations are copied to the ReplicaSet that is made of its template, so that each revision tells its own."""

PROVEN = "seatrial/proven"
"""Annotation of the Deployment: the hash of the release that was rolled out last and has answered, or ""."""

CRASHES_ALLOWED = 2
"""A container may fail to start twice, by mischance; the third time it is the release."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Where a rollout stands. `waits_for` says in words what is missing, or is "" when it is done.

    `failed` is why it will not be done any more, or "".
    """

    waits_for: str = ""
    failed: str = ""

    @property
    def done(self) -> bool:
        """Whether every replica is of the newest template and available, and no other is left."""
        return not self.waits_for and not self.failed


def judge(deployment: Object) -> Judgement:
    """Judge a Deployment as `kubectl rollout status` does; one that is paused will never be done, and fails."""
    spec, status = deployment["spec"], deployment.get("status", {})
    if deployment["metadata"]["generation"] > status.get("observedGeneration", 0):
        return Judgement(waits_for="the Deployment's controller to see the change")
    if spec.get("paused"):
        return Judgement(failed="The Deployment is paused; resume it with kubectl rollout resume.")
    progressing = condition(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Judgement(failed=_sentence(progressing.get("message") or "The progress deadline was exceeded"))
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    running, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return Judgement(waits_for=f"{wanted - updated} of {wanted} replicas to be replaced")
    if running > updated:
        return Judgement(waits_for=f"{running - updated} old replicas to end")
    if available < updated:
        return Judgement(waits_for=f"{updated - available} of {updated} replicas to become available")
    return Judgement()


def condition(obj: Object, kind: str) -> Object:
    """The condition of the type `kind`, or an empty one."""
    conditions: Iterable[Object] = obj.get("status", {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == kind), {})


# ---------------------------------------------------------------------------------------------- trouble


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What stands in the way, in the cluster's own words. `hopeless`: time alone will not mend it.

    `crashed` names the pod whose last words (its log) would tell more, or is "".
    """

    words: str
    hopeless: bool = False
    crashed: str = ""


def troubles(
    *, deployment: Object, replica_sets: Sequence[Object], pods: Sequence[Object], events: Sequence[Object]
) -> tuple[Trouble, ...]:
    """All that stands in the way of the newest revision's pods, the gravest first, each said once.

    `events` are Warnings of the namespace; those of other objects are passed over.
    """
    mine = pods_of(newest(deployment, replica_sets), pods)
    found = [trouble for pod in mine if (trouble := pod_trouble(pod))]
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":  # a quota or an admission rule: no pod exists that could tell
        found.append(Trouble(words=_sentence(f"Replicas cannot be created: {failure.get('message', '')}")))
    found += _warnings(mine, events)
    by_words = {trouble.words: trouble for trouble in found}
    return tuple(sorted(by_words.values(), key=lambda trouble: not trouble.hopeless))


def pod_trouble(pod: Object) -> Trouble | None:
    """What keeps a pod from becoming ready, as its own status says; None for one that is well or is being ended.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
    """
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return None
    if status.get("phase") == "Failed":
        return Trouble(words=_sentence(f"A pod failed: {status.get('message') or status.get('reason') or 'no reason'}"))
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return Trouble(words=_sentence(f"No node takes the pod: {scheduled.get('message') or scheduled.get('reason')}"))
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        if trouble := _container_trouble(pod["metadata"]["name"], container):
            return trouble
    return None


# Reasons for which a container waits; https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff and
# the kubelet's pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go, pkg/kubelet/kuberuntime.
_IMAGE = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed"}
_IMAGE_HOPELESS = {"InvalidImageName", "ErrImageNeverPull"}
_NOT_STARTED = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"}
_WILL_NOT_BE_PULLED = re.compile(
    r"not ?found|manifest unknown|unauthorized|denied|forbidden|no match for platform", re.I
)


def _container_trouble(pod: str, container: Object) -> Trouble | None:
    waiting = container.get("state", {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE | _IMAGE_HOPELESS:
        words = _sentence(f"The image {container['image']} cannot be pulled: {message or reason}")
        return Trouble(words=words, hopeless=reason in _IMAGE_HOPELESS or bool(_WILL_NOT_BE_PULLED.search(message)))
    if reason in _NOT_STARTED:
        return Trouble(words=_sentence(f"The container cannot be started ({reason}): {message}"), crashed=pod)
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or container.get("ready"):
        return None
    crashes = container.get("restartCount", 0) + ("terminated" in container.get("state", {}))
    how = f"exit code {ended.get('exitCode')}" + (f", {ended['reason']}" if ended.get("reason") else "")
    times = "once" if crashes == 1 else f"{crashes} times"
    words = f"The container ended {times} ({how})."
    return Trouble(words=words, hopeless=crashes > CRASHES_ALLOWED, crashed=pod)


_SAID_BY_THE_POD = {"FailedScheduling", "BackOff"}
"""Reasons of events that repeat what the pod's own status says better."""


def _warnings(pods: Sequence[Object], events: Sequence[Object]) -> list[Trouble]:
    """The newest warning of each pod that is not ready: a probe's answer, a volume that cannot be mounted."""
    waiting = {pod["metadata"]["name"] for pod in pods if condition(pod, "Ready").get("status") != "True"}
    newest_of: dict[str, Object] = {}
    for event in sorted(events, key=event_time):
        name = event["involvedObject"].get("name", "")
        if name in waiting and event.get("type") == "Warning" and event.get("reason") not in _SAID_BY_THE_POD:
            newest_of[name] = event
    return [Trouble(words=_sentence(event.get("message") or event["reason"])) for event in newest_of.values()]


def event_time(event: Object) -> str:
    """When it happened last, as RFC 3339; events have told this in three places."""
    series = event.get("series") or {}
    when = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"].get("creationTimestamp") or "")


# ---------------------------------------------------------------------------------------------- revisions


def newest(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's newest template, or None where its controller has not made one yet.

    Or where it is not among `replica_sets` yet: those may have been seen before the Deployment was.
    """
    if deployment["metadata"]["generation"] > deployment.get("status", {}).get("observedGeneration", 0):
        return None
    wanted = fingerprint(deployment)
    return max(
        (item for item in _owned(deployment, replica_sets) if fingerprint(item) == wanted), key=revision, default=None
    )


def pods_of(replica_set: Object | None, pods: Sequence[Object]) -> list[Object]:
    """The pods that the ReplicaSet made."""
    if replica_set is None:
        return []
    made_by = replica_set["metadata"]["labels"].get(HASH)
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get(HASH) == made_by]


def revision(replica_set: Object) -> int:
    """Its number in the Deployment's history; a ReplicaSet that came back has a new one. 0 where there is none."""
    text = _annotation(replica_set, REVISION)
    return int(text) if text.isdigit() else 0


def undo_to(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The revision that holds the release that was proven last; None where there is none.

    `kubectl rollout undo` takes the revision before, whatever became of it; one that failed too would be no way back.
    """
    proven = proven_of(deployment)
    found = [item for item in _owned(deployment, replica_sets) if proven and fingerprint(item) == proven]
    return max(found, key=revision, default=None)


def is_proven(deployment: Object) -> bool:
    """Whether what the Deployment wants was rolled out once and has answered."""
    return bool(fingerprint(deployment)) and proven_of(deployment) == fingerprint(deployment)


def proven_of(deployment: Object) -> str:
    """Which release was proven last, or ""."""
    return _annotation(deployment, PROVEN)


def fingerprint(obj: Object) -> str:
    """Which release the Deployment wants, or the ReplicaSet was made of; "" where that was not noted."""
    return _annotation(obj, TEMPLATE)


def template(obj: Object) -> dict[str, Any]:
    """The pod template of a Deployment or ReplicaSet, without what the controller and the server put there."""
    found: Object = obj["spec"]["template"]
    metadata = {key: value for key, value in found["metadata"].items() if key != "creationTimestamp"}
    metadata["labels"] = {key: value for key, value in metadata.get("labels", {}).items() if key != HASH}
    metadata.setdefault("annotations", {})
    return {"metadata": metadata, "spec": found["spec"]}


def _annotation(obj: Object, key: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(key, ""))


def _owned(deployment: Object, replica_sets: Sequence[Object]) -> list[Object]:
    uid = deployment["metadata"]["uid"]
    return [
        item
        for item in replica_sets
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ()))
    ]


# ---------------------------------------------------------------------------------------------- scaling


def cpu_percent(autoscaler: Object | None) -> float | None:
    """The mean CPU of the replicas in percent of their request, as the autoscaler measured it last, or None."""
    for metric in ((autoscaler or {}).get("status") or {}).get("currentMetrics") or ():
        current = metric.get("resource", {}).get("current", {})
        if metric.get("resource", {}).get("name") == "cpu" and "averageUtilization" in current:
            return float(current["averageUtilization"])
    return None


def scaling_reason(autoscaler: Object | None, events: Sequence[Object]) -> str:
    """Why the autoscaler set the count that it set last, in its own words, or "" where it has not."""
    rescaled = [event for event in events if event.get("reason") == "SuccessfulRescale"]
    said = str(max(rescaled, key=event_time).get("message", "")) if rescaled else ""
    percent = cpu_percent(autoscaler)
    target = _cpu_target(autoscaler)
    measured = f"CPU {percent:.0f} % of the request, target {target} %" if percent is not None and target else ""
    return "; ".join(part for part in (said, measured) if part)


def scaling_trouble(autoscaler: Object | None) -> str:
    """Why the autoscaler cannot do its work (no metrics, no such target), in its own words, or ""."""
    if autoscaler is None:
        return ""
    for kind in ("AbleToScale", "ScalingActive"):
        found = condition(autoscaler, kind)
        # A count of 0 switches the autoscaler off by design, and it says so as if it were trouble.
        if found.get("status") == "False" and found.get("reason") != "ScalingDisabled":
            return _sentence(f"The autoscaler does not scale: {found.get('message') or found.get('reason')}")
    return ""


def _cpu_target(autoscaler: Object | None) -> int | None:
    for metric in ((autoscaler or {}).get("spec") or {}).get("metrics") or ():
        if metric.get("resource", {}).get("name") == "cpu":
            target: int | None = metric["resource"]["target"].get("averageUtilization")
            return target
    return None


def _sentence(words: str) -> str:
    """One line that ends as a sentence does."""
    return f"{' '.join(words.split()).rstrip('.: ')}."
