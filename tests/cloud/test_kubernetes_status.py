"""Status of rollouts, pods and autoscalers, read from objects as a cluster writes them."""

from typing import Any

import pytest

from tests.cloud.kubernetes_objects import deployment, replica_set
from workers.platforms.cloud.endpoints.status import (
    RolloutStatus,
    cpu_percent,
    find_troubles,
    judge,
    read_status,
    scaling_reason,
    scaling_trouble,
)
from workers.platforms.cloud.kubernetes.objects import Object
from workers.platforms.cloud.kubernetes.pods import pod_trouble

LATE = {
    "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "d-1" has timed out progressing.',
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "waits_for", "failed"),
    [
        (deployment(), "", ""),
        (deployment(desired=0), "", ""),
        (deployment(generation=3), "the Deployment's controller to see the change", ""),
        (deployment(generation=3, conditions=[LATE]), "the Deployment's controller to see the change", ""),
        (deployment(conditions=[LATE]), "", 'ReplicaSet "d-1" has timed out progressing.'),
        (deployment(conditions=[LATE | {"message": ""}]), "", "The progress deadline was exceeded."),
        (deployment(conditions=[LATE | {"reason": "NewReplicaSetAvailable", "status": "True"}]), "", ""),
        (deployment(updatedReplicas=1), "2 of 3 replicas to be replaced", ""),
        (deployment(replicas=4), "1 old replicas to end", ""),
        (deployment(availableReplicas=2), "1 of 3 replicas to become available", ""),
        (deployment(updatedReplicas=1, replicas=4, availableReplicas=3), "2 of 3 replicas to be replaced", ""),
        (deployment(replicas=5, availableReplicas=1), "2 old replicas to end", ""),
    ],
)
def test_rollout_is_judged_like_kubectl_rollout_status(given: Object, waits_for: str, failed: str) -> None:
    """By the same fields in the same order."""
    assert judge(given) == RolloutStatus(waits_for=waits_for, failed=failed)
    assert judge(given).done == (not waits_for and not failed)


def test_deployment_without_status_or_count_waits() -> None:
    """A new Deployment looks like this. An omitted count means 1."""
    fresh = {"metadata": {"name": "d", "generation": 1}, "spec": {}}
    assert judge(fresh).waits_for == "the Deployment's controller to see the change"
    assert judge(fresh | {"status": {"observedGeneration": 1}}).waits_for == "1 of 1 replicas to be replaced"


def test_paused_deployment_fails() -> None:
    """Its rollout would never finish."""
    paused = deployment()
    paused["spec"]["paused"] = True
    assert "kubectl rollout resume" in judge(paused).failed


def pod(name: str = "d-1-a", *, owner: str = "1", ready: str = "False", **status: Any) -> Object:
    """Return a pod that is scheduled and not ready."""
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    labels = {"pod-template-hash": owner}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"phase": "Pending", "conditions": conditions} | status,
    }


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "model", "image": "r/i", "ready": False, "state": state} | more])


ENDED = {"terminated": {"exitCode": 1, "reason": "Error"}}
UNSCHEDULABLE = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
]


@pytest.mark.parametrize(
    ("given", "message", "permanent"),
    [
        (waiting("ContainerCreating"), None, False),
        (waiting("PodInitializing"), None, False),
        (waiting("ErrImagePull", "manifest unknown"), "The image r/i cannot be pulled: manifest unknown.", True),
        (waiting("ErrImagePull", "401 Unauthorized"), "The image r/i cannot be pulled: 401 Unauthorized.", True),
        (waiting("ErrImagePull", "dial tcp: timeout"), "The image r/i cannot be pulled: dial tcp: timeout.", False),
        (waiting("ImagePullBackOff"), "The image r/i cannot be pulled: ImagePullBackOff.", False),
        (waiting("InvalidImageName", "bad"), "The image r/i cannot be pulled: bad.", True),
        (waiting("CreateContainerConfigError", 'secret "x" not found'),
         'The container cannot be started (CreateContainerConfigError): secret "x" not found.', False),
        (waiting("CrashLoopBackOff", "back-off", restartCount=1, lastState=ENDED),
         "The container ended once (exit code 1, Error).", False),
        (waiting("CrashLoopBackOff", "back-off", restartCount=3, lastState=ENDED),
         "The container ended 3 times (exit code 1, Error).", True),
        (pod(containerStatuses=[{"image": "r/i", "restartCount": 2, "state": ENDED}]),
         "The container ended 3 times (exit code 1, Error).", True),
        (pod(containerStatuses=[{"image": "r/i", "restartCount": 4, "ready": True, "lastState": ENDED, "state": {}}]),
         None, False),
        (pod(initContainerStatuses=[{"image": "r/j", "state": {"waiting": {"reason": "InvalidImageName"}}}]),
         "The image r/j cannot be pulled: InvalidImageName.", True),
        (pod(conditions=UNSCHEDULABLE), "The pod cannot be scheduled: 0/3 nodes are available.", False),
        (pod(phase="Failed", reason="Evicted", message="The node was low on memory"),
         "A pod failed: The node was low on memory.", False),
    ],
)  # fmt: skip
def test_pod_status_reports_its_trouble(given: Object, message: str | None, permanent: bool) -> None:
    """In the cluster's words. `permanent` means that waiting cannot help."""
    found = pod_trouble(given)
    assert (found and found.message, bool(found and found.permanent)) == (message, permanent)


def test_pod_that_is_being_deleted_has_no_trouble() -> None:
    leaving = waiting("InvalidImageName")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert pod_trouble(leaving) is None


def warning(pod_name: str, message: str, *, reason: str = "Unhealthy", at: str = "2026-01-01T00:00:01Z") -> Object:
    return {
        "metadata": {}, "type": "Warning", "reason": reason, "message": message, "lastTimestamp": at,
        "involvedObject": {"kind": "Pod", "name": pod_name},
    }  # fmt: skip


def test_troubles_are_those_of_the_newest_revision() -> None:
    """Permanent ones first, each once, with the newest warning of a pod."""
    found = find_troubles(
        deployment(),
        replica_sets=[replica_set("d-1", "1"), replica_set("d-2", "2"), replica_set("d-9", "9", owner="other")],
        pods=[
            pod("old", owner="1", conditions=UNSCHEDULABLE),
            pod("late", owner="2", conditions=UNSCHEDULABLE),
            pod("late-too", owner="2", conditions=UNSCHEDULABLE),
            pod("unready", owner="2"),
            pod("healthy", owner="2", ready="True"),
            waiting("InvalidImageName", "bad") | {"metadata": {"name": "z", "labels": {"pod-template-hash": "2"}}},
        ],
        events=[
            warning("unready", "Readiness probe failed: 503", at="2026-01-01T00:00:02Z"),
            warning("unready", "Readiness probe failed: refused"),
            warning("healthy", "Readiness probe failed: once"),
            warning("late", "0/3 nodes", reason="FailedScheduling"),
            warning("of another endpoint", "anything"),
        ],
    )
    assert [trouble.message for trouble in found] == [
        "The image r/i cannot be pulled: bad.",
        "The pod cannot be scheduled: 0/3 nodes are available.",
        "Readiness probe failed: 503.",
    ]


def test_deployment_reports_pods_that_cannot_be_created() -> None:
    """The message of a quota is in a condition, because there is no pod."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: exceeded quota: q"}
    found = find_troubles(deployment(conditions=[failure]), replica_sets=[], pods=[], events=[])
    assert [(trouble.message, trouble.permanent) for trouble in found] == [
        ("Replicas cannot be created: pods is forbidden: exceeded quota: q.", False)
    ]


def test_release_is_not_blamed_for_troubles_of_the_previous_one() -> None:
    """Deployment and ReplicaSets are watched separately: the newest known ReplicaSet may be the previous release's."""
    crashing = waiting("CrashLoopBackOff", restartCount=9, lastState=ENDED)
    known: Object = {"replica_sets": [replica_set("d-1", "1", release="A")], "pods": [crashing], "events": []}
    present, new = (deployment(annotations={"seatrial/template": release}, replicas=4) for release in "AB")
    assert read_status(present, **known).hopeless
    assert read_status(new, **known).troubles == ()


AUTOSCALER = {
    "spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 60}}}]},
    "status": {
        "currentMetrics": [
            {"type": "Pods", "pods": {}},
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 91}}},
        ],
        "conditions": [
            {"type": "AbleToScale", "status": "True"},
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"},
        ],
    },
}


def test_scaling_reason_quotes_the_newest_event_and_the_measured_cpu() -> None:
    """Events carry their time in several fields."""
    rescaled = {"metadata": {}, "reason": "SuccessfulRescale"}
    events = [
        rescaled | {"message": "New size: 2", "lastTimestamp": "2026-01-01T00:00:09Z"},
        rescaled | {"message": "New size: 4", "eventTime": "2026-01-01T00:00:10.5Z"},
        {"metadata": {}, "reason": "FailedGetScale", "message": "no", "lastTimestamp": "2026-01-01T00:00:59Z"},
    ]
    assert scaling_reason(AUTOSCALER, events) == "New size: 4; CPU 91 % of the request, target 60 %"
    assert scaling_reason(None, []) == ""


@pytest.mark.parametrize(
    ("autoscaler", "percent"), [(AUTOSCALER, 91.0), ({"status": {"currentMetrics": None}}, None), (None, None)]
)
def test_cpu_is_read_from_the_autoscaler(autoscaler: Object | None, percent: float | None) -> None:
    assert cpu_percent(autoscaler) == percent


def test_autoscaler_that_cannot_work_reports_its_reason() -> None:
    """One that is switched off by a count of 0 is not in trouble."""
    assert scaling_trouble(AUTOSCALER) == "The autoscaler does not scale: no metrics."
    off = {"status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}]}}
    assert scaling_trouble(off) == scaling_trouble(None) == ""
