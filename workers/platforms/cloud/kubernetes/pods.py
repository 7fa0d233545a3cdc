"""Reasons that keep a pod from becoming ready, read from its status. Pure."""

import re
from dataclasses import dataclass

from workers.platforms.cloud.kubernetes.objects import Object, condition, sentence

_CRASHES_ALLOWED = 2
"""A container may fail to start twice by accident. The third failure is blamed on the release."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A problem in the cluster's own words. `permanent`: waiting cannot fix it.

    `crashed_pod` names a pod that has a log worth quoting, or is "".
    """

    message: str
    permanent: bool = False
    crashed_pod: str = ""


def pod_trouble(pod: Object) -> Trouble | None:
    """Return the problem that a pod's status reports, or None if it is well or being deleted.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
    """
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return None
    if status.get("phase") == "Failed":
        reason = status.get("message") or status.get("reason") or "no reason given"
        return Trouble(message=sentence(f"A pod failed: {reason}"))
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        reason = scheduled.get("message") or scheduled.get("reason")
        return Trouble(message=sentence(f"The pod cannot be scheduled: {reason}"))
    containers = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    troubles = (_container_trouble(pod["metadata"]["name"], container) for container in containers)
    return next(filter(None, troubles), None)


def creation_trouble(deployment: Object, pods: str) -> Trouble | None:
    """Return why a quota or an admission rule rejects a Deployment's `pods`, or None. There is no pod to report it."""
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Trouble(message=sentence(f"{pods} cannot be created: {failure.get('message', '')}"))


# Reasons for which a container waits; https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff and
# the kubelet's pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go, pkg/kubelet/kuberuntime.
_IMAGE = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed"}
_IMAGE_PERMANENT = {"InvalidImageName", "ErrImageNeverPull"}
_NOT_STARTED = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"}
_PULL_REFUSED = re.compile(r"not ?found|manifest unknown|unauthorized|denied|forbidden|no match for platform", re.I)


def _container_trouble(pod: str, container: Object) -> Trouble | None:
    waiting = container.get("state", {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE | _IMAGE_PERMANENT:
        permanent = reason in _IMAGE_PERMANENT or bool(_PULL_REFUSED.search(message))
        text = sentence(f"The image {container['image']} cannot be pulled: {message or reason}")
        return Trouble(message=text, permanent=permanent)
    if reason in _NOT_STARTED:
        return Trouble(message=sentence(f"The container cannot be started ({reason}): {message}"), crashed_pod=pod)
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or container.get("ready"):
        return None
    crashes = container.get("restartCount", 0) + ("terminated" in container.get("state", {}))
    cause = f"exit code {ended.get('exitCode')}" + (f", {ended['reason']}" if ended.get("reason") else "")
    text = f"The container ended {'once' if crashes == 1 else f'{crashes} times'} ({cause})."
    return Trouble(message=text, permanent=crashes > _CRASHES_ALLOWED, crashed_pod=pod)
