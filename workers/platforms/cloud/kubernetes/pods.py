"""Conditions of objects, and the reasons that keep a pod from becoming ready. Pure.

Objects are the API's own JSON.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

CRASHES_ALLOWED = 2
"""A container may fail to start twice, by mischance; the third time it is the release."""


def condition(obj: Object, kind: str) -> Object:
    """The condition of the type `kind`, or an empty one."""
    conditions: Iterable[Object] = obj.get("status", {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == kind), {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What stands in the way, in the cluster's own words. `hopeless`: time alone will not mend it.

    `crashed` names the pod whose last words (its log) would tell more, or is "".
    """

    words: str
    hopeless: bool = False
    crashed: str = ""


def pod_trouble(pod: Object) -> Trouble | None:
    """What keeps a pod from becoming ready, as its own status says; None for one that is well or is being ended.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
    """
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return None
    if status.get("phase") == "Failed":
        return Trouble(words=sentence(f"A pod failed: {status.get('message') or status.get('reason') or 'no reason'}"))
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return Trouble(words=sentence(f"No node takes the pod: {scheduled.get('message') or scheduled.get('reason')}"))
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
        words = sentence(f"The image {container['image']} cannot be pulled: {message or reason}")
        return Trouble(words=words, hopeless=reason in _IMAGE_HOPELESS or bool(_WILL_NOT_BE_PULLED.search(message)))
    if reason in _NOT_STARTED:
        return Trouble(words=sentence(f"The container cannot be started ({reason}): {message}"), crashed=pod)
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or container.get("ready"):
        return None
    crashes = container.get("restartCount", 0) + ("terminated" in container.get("state", {}))
    how = f"exit code {ended.get('exitCode')}" + (f", {ended['reason']}" if ended.get("reason") else "")
    times = "once" if crashes == 1 else f"{crashes} times"
    words = f"The container ended {times} ({how})."
    return Trouble(words=words, hopeless=crashes > CRASHES_ALLOWED, crashed=pod)


def sentence(words: str) -> str:
    """One line that ends as a sentence does."""
    return f"{' '.join(words.split()).rstrip('.: ')}."
