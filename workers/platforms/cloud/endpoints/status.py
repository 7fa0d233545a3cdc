"""Status of an endpoint as its Deployment, pods, events and autoscaler report it. Pure.

Rollouts are judged like `kubectl rollout status`:
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from dataclasses import dataclass, replace

from workers.platforms.cloud.endpoints.revisions import newest_replica_set, pods_of
from workers.platforms.cloud.kubernetes.objects import Object, Objects, condition, sentence
from workers.platforms.cloud.kubernetes.pods import Trouble, creation_trouble, pod_trouble


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutStatus:
    """State of a rollout. Both texts are "" if it is done.

    `waits_for` is the next missing step, `failed` the reason why it cannot finish. `troubles` are the problems of the
    newest revision, permanent ones first. `updated` counts its ready replicas.
    """

    waits_for: str = ""
    failed: str = ""
    updated: int = 0
    troubles: tuple[Trouble, ...] = ()

    @property
    def done(self) -> bool:
        """True if every replica has the newest template and is available, and no old replica is left."""
        return not self.waits_for and not self.failed

    @property
    def hopeless(self) -> bool:
        """True if waiting longer cannot help."""
        return bool(self.failed) or any(trouble.permanent for trouble in self.troubles)


def read_status(deployment: Object, *, replica_sets: Objects, pods: Objects, events: Objects) -> RolloutStatus:
    """Judge the rollout and collect its troubles. A finished rollout has no troubles: `pods` may be older."""
    status = judge(deployment)
    if status.done:
        return replace(status, updated=ready_replicas(deployment))
    newest = newest_replica_set(deployment, replica_sets)
    troubles = find_troubles(deployment, replica_sets=replica_sets, pods=pods, events=events)
    return replace(status, updated=ready_replicas(newest) if newest else 0, troubles=troubles)


def judge(deployment: Object) -> RolloutStatus:
    """Judge a Deployment by its own status. A paused one cannot finish, so it has failed."""
    spec, status = deployment["spec"], deployment.get("status", {})
    if deployment["metadata"]["generation"] > status.get("observedGeneration", 0):
        return RolloutStatus(waits_for="the Deployment's controller to see the change")
    if spec.get("paused"):
        return RolloutStatus(failed="The Deployment is paused. Resume it with kubectl rollout resume.")
    progressing = condition(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return RolloutStatus(failed=sentence(progressing.get("message") or "The progress deadline was exceeded"))
    desired, updated = desired_replicas(deployment), status.get("updatedReplicas", 0)
    running, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    if updated < desired:
        return RolloutStatus(waits_for=f"{desired - updated} of {desired} replicas to be replaced")
    if running > updated:
        return RolloutStatus(waits_for=f"{running - updated} old replicas to end")
    if available < updated:
        return RolloutStatus(waits_for=f"{updated - available} of {updated} replicas to become available")
    return RolloutStatus()


def find_troubles(deployment: Object, *, replica_sets: Objects, pods: Objects, events: Objects) -> tuple[Trouble, ...]:
    """Return the distinct problems of the newest revision's pods, permanent ones first.

    `events` are Warnings of the namespace. Events of other objects are ignored.
    """
    own_pods = pods_of(newest_replica_set(deployment, replica_sets), pods)
    found = [*map(pod_trouble, own_pods), creation_trouble(deployment, "Replicas"), *_warnings(own_pods, events)]
    distinct = {trouble.message: trouble for trouble in found if trouble}
    return tuple(sorted(distinct.values(), key=lambda trouble: not trouble.permanent))


_IN_POD_STATUS = {"FailedScheduling", "BackOff"}
"""Reasons of events that repeat the pod's own status, in worse words."""


def _warnings(pods: Objects, events: Objects) -> list[Trouble]:
    """Return the newest warning about each pod that is not ready, such as a failed probe or volume mount."""
    unready = {pod["metadata"]["name"] for pod in pods if condition(pod, "Ready").get("status") != "True"}
    newest: dict[str, Object] = {}
    for event in sorted(events, key=_event_time):
        name = event["involvedObject"].get("name", "")
        if name in unready and event.get("type") == "Warning" and event.get("reason") not in _IN_POD_STATUS:
            newest[name] = event
    return [Trouble(message=sentence(event.get("message") or event["reason"])) for event in newest.values()]


def ready_replicas(obj: Object) -> int:
    """Return how many replicas of a Deployment, of any revision, or of a ReplicaSet are ready."""
    return int(obj.get("status", {}).get("readyReplicas", 0))


def desired_replicas(deployment: Object) -> int:
    """Return the desired replicas: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas"""
    return int(deployment["spec"].get("replicas", 1))


def cpu_percent(autoscaler: Object | None) -> float | None:
    """Return the replicas' mean CPU in percent of their request, as the autoscaler last measured it, or None."""
    metrics = ((autoscaler or {}).get("status") or {}).get("currentMetrics")
    percent = _cpu(metrics).get("current", {}).get("averageUtilization")
    return None if percent is None else float(percent)


def scaling_reason(autoscaler: Object | None, events: Objects) -> str:
    """Return the autoscaler's own reason for its last change, with the CPU it measured, or ""."""
    rescaled = [event for event in events if event.get("reason") == "SuccessfulRescale"]
    reason = str(max(rescaled, key=_event_time).get("message", "")) if rescaled else ""
    percent = cpu_percent(autoscaler)
    target = _cpu(((autoscaler or {}).get("spec") or {}).get("metrics")).get("target", {}).get("averageUtilization")
    measured = f"CPU {percent:.0f} % of the request, target {target} %" if percent is not None and target else ""
    return "; ".join(part for part in (reason, measured) if part)


def scaling_trouble(autoscaler: Object | None) -> str:
    """Return the autoscaler's own reason why it cannot work (such as missing metrics), or ""."""
    for kind in ("AbleToScale", "ScalingActive"):
        found = condition(autoscaler or {}, kind)
        # Zero replicas switch the autoscaler off by design, but it reports the condition as False.
        if found.get("status") == "False" and found.get("reason") != "ScalingDisabled":
            return sentence(f"The autoscaler does not scale: {found.get('message') or found.get('reason')}")
    return ""


def _cpu(metrics: Objects | None) -> Object:
    """Return the metric of the resource cpu, or {}."""
    resources = (metric.get("resource", {}) for metric in metrics or ())
    return next((resource for resource in resources if resource.get("name") == "cpu"), {})


def _event_time(event: Object) -> str:
    """Return when an event last occurred, as RFC 3339. Kubernetes has used three fields for it."""
    series = event.get("series") or {}
    when = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"].get("creationTimestamp") or "")
