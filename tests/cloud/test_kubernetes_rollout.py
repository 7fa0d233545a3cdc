"""Rollouts judged, troubles found, ways back chosen: pure functions over objects as a cluster writes them."""

from typing import Any

import pytest

from workers.platforms.cloud.endpoints.autoscaling import cpu_percent, scaling_reason, scaling_trouble
from workers.platforms.cloud.endpoints.judgement import Judgement, judge
from workers.platforms.cloud.endpoints.revisions import is_verified, newest, template, undo_to
from workers.platforms.cloud.endpoints.troubles import troubles
from workers.platforms.cloud.kubernetes.pods import pod_trouble

Object = dict[str, Any]


def deployment(*, wanted: int = 3, generation: int = 2, notes: Object | None = None, **status: Any) -> Object:
    """A Deployment whose rollout is done, but for what `status` says."""
    counts = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted}
    return {
        "metadata": {"name": "d", "uid": "u", "generation": generation, "annotations": notes or {}},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 2, **counts, **status},
    }


LATE = {
    "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "d-1" has timed out progressing.',
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "waits_for", "failed"),
    [
        (deployment(), "", ""),
        (deployment(wanted=0), "", ""),
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
def test_a_rollout_is_judged_as_kubectl_judges_it(given: Object, waits_for: str, failed: str) -> None:
    """By the same fields in the same order."""
    assert judge(given) == Judgement(waits_for=waits_for, failed=failed)
    assert judge(given).done == (not waits_for and not failed)


def test_a_deployment_without_a_status_or_a_count_waits() -> None:
    """As one is in the first moment; the count that is not written is 1."""
    fresh = {"metadata": {"name": "d", "generation": 1}, "spec": {}}
    assert judge(fresh).waits_for == "the Deployment's controller to see the change"
    assert judge(fresh | {"status": {"observedGeneration": 1}}).waits_for == "1 of 1 replicas to be replaced"


def test_a_paused_deployment_fails() -> None:
    """Nothing would ever move."""
    paused = deployment()
    paused["spec"]["paused"] = True
    assert "kubectl rollout resume" in judge(paused).failed


def pod(name: str = "d-1-a", *, made_by: str = "1", ready: str = "False", **status: Any) -> Object:
    """A pod that is scheduled and not ready."""
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    labels = {"pod-template-hash": made_by}
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
    ("given", "words", "hopeless"),
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
        (pod(conditions=UNSCHEDULABLE), "No node takes the pod: 0/3 nodes are available.", False),
        (pod(phase="Failed", reason="Evicted", message="The node was low on memory"),
         "A pod failed: The node was low on memory.", False),
    ],
)  # fmt: skip
def test_a_pods_own_status_tells_its_trouble(given: Object, words: str | None, hopeless: bool) -> None:
    """In its own words; and whether waiting could mend it."""
    found = pod_trouble(given)
    assert (found and found.words, bool(found and found.hopeless)) == (words, hopeless)


def test_a_pod_that_is_being_ended_has_no_trouble() -> None:
    """Whatever its containers say on their way out."""
    leaving = waiting("InvalidImageName")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert pod_trouble(leaving) is None


def replica_set(name: str, revision: str, *, release: str = "", owner: str = "u") -> Object:
    """A ReplicaSet of the release whose template has the hash `release`."""
    labels = {"pod-template-hash": name.removeprefix("d-")}
    notes = {"deployment.kubernetes.io/revision": revision, "seatrial/template": release}
    pods = {"metadata": {"creationTimestamp": None, "labels": labels | {"a": "b"}}, "spec": {"containers": []}}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": notes, "ownerReferences": [{"uid": owner}]},
        "spec": {"template": pods},
    }


def warning(pod_name: str, message: str, *, reason: str = "Unhealthy", at: str = "2026-01-01T00:00:01Z") -> Object:
    return {
        "metadata": {}, "type": "Warning", "reason": reason, "message": message, "lastTimestamp": at,
        "involvedObject": {"kind": "Pod", "name": pod_name},
    }  # fmt: skip


def test_only_the_newest_revisions_pods_are_in_the_way() -> None:
    """Not those of the version before; the hopeless first, each said once, with the newest warning of a pod."""
    found = troubles(
        deployment=deployment(),
        replica_sets=[replica_set("d-1", "1"), replica_set("d-2", "2"), replica_set("d-9", "9", owner="other")],
        pods=[
            pod("old", made_by="1", conditions=UNSCHEDULABLE),
            pod("late", made_by="2", conditions=UNSCHEDULABLE),
            pod("late-too", made_by="2", conditions=UNSCHEDULABLE),
            pod("deaf", made_by="2"),
            pod("well", made_by="2", ready="True"),
            waiting("InvalidImageName", "bad") | {"metadata": {"name": "z", "labels": {"pod-template-hash": "2"}}},
        ],
        events=[
            warning("deaf", "Readiness probe failed: 503", at="2026-01-01T00:00:02Z"),
            warning("deaf", "Readiness probe failed: refused"),
            warning("well", "Readiness probe failed: once"),
            warning("late", "0/3 nodes", reason="FailedScheduling"),
            warning("of another endpoint", "anything"),
        ],
    )
    assert [trouble.words for trouble in found] == [
        "The image r/i cannot be pulled: bad.",
        "No node takes the pod: 0/3 nodes are available.",
        "Readiness probe failed: 503.",
    ]


def test_pods_that_cannot_be_made_are_told_by_the_deployment() -> None:
    """A quota's words are in a condition, for there is no pod."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: exceeded quota: q"}
    found = troubles(deployment=deployment(conditions=[failure]), replica_sets=[], pods=[], events=[])
    assert [(trouble.words, trouble.hopeless) for trouble in found] == [
        ("Replicas cannot be created: pods is forbidden: exceeded quota: q.", False)
    ]


REVISIONS = [
    replica_set("d-1", "4", release="A"),
    replica_set("d-2", "2", release="B"),
    replica_set("d-3", "3", release="C"),
]


@pytest.mark.parametrize(
    ("proven", "name"),
    [("A", "d-1"), ("B", "d-2"), ("C", "d-3"), ("", None), ("forgotten", None)],
)
def test_the_way_back_is_the_release_that_was_proven_last(proven: str, name: str | None) -> None:
    """Whatever its number is; none before the first was proven, nor where its revision is kept no more."""
    back = undo_to(deployment(notes={"seatrial/proven": proven, "seatrial/template": "D"}), REVISIONS)
    assert (back and back["metadata"]["name"]) == name


def test_of_two_revisions_of_one_release_the_newer_is_taken() -> None:
    """And what belongs to another Deployment never."""
    sets = [replica_set("d-1", "1", release="A"), replica_set("d-10", "10", release="A")]
    others = [replica_set("d-11", "11", release="A", owner="other")]
    back = undo_to(deployment(notes={"seatrial/proven": "A"}), sets + others)
    assert back is not None
    assert back["metadata"]["name"] == "d-10"


def test_a_release_is_proven_when_its_hash_is_noted() -> None:
    """Not when nothing is."""
    assert is_verified(deployment(notes={"seatrial/proven": "A", "seatrial/template": "A"}))
    assert not is_verified(deployment(notes={"seatrial/proven": "A", "seatrial/template": "B"}))
    assert not is_verified(deployment())


def test_a_template_is_taken_back_without_what_the_controller_added() -> None:
    """So that the server sees the template that made the ReplicaSet, and takes that one again."""
    assert template(REVISIONS[0])["metadata"] == {"labels": {"a": "b"}, "annotations": {}}


def test_no_revision_is_the_newest_before_the_controller_has_seen_the_change() -> None:
    """The pods that run then are those of the release before."""
    assert newest(deployment(generation=3), REVISIONS) is None
    assert newest(deployment(notes={"seatrial/template": "A"}), REVISIONS) is REVISIONS[0]


def test_a_release_is_not_blamed_for_the_one_that_it_is_to_mend() -> None:
    """The Deployment and its ReplicaSets are watched apart: the newest that is known may be that of the release before,
    which is why there is another."""
    crashing = waiting("CrashLoopBackOff", restartCount=9, lastState=ENDED)
    known: Object = {"replica_sets": [replica_set("d-1", "1", release="A")], "pods": [crashing], "events": []}
    assert [trouble.hopeless for trouble in troubles(deployment=deployment(notes=TEMPLATE_A), **known)] == [True]
    assert troubles(deployment=deployment(notes={"seatrial/template": "B"}), **known) == ()


TEMPLATE_A = {"seatrial/template": "A"}
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


def test_the_autoscaler_says_why_it_scaled() -> None:
    """Its newest event, and the use that it measured against its target."""
    events = [
        {
            "metadata": {},
            "reason": "SuccessfulRescale",
            "message": "New size: 2",
            "lastTimestamp": "2026-01-01T00:00:09Z",
        },
        {
            "metadata": {},
            "reason": "SuccessfulRescale",
            "message": "New size: 4",
            "eventTime": "2026-01-01T00:00:10.5Z",
        },
        {"metadata": {}, "reason": "FailedGetScale", "message": "no", "lastTimestamp": "2026-01-01T00:00:59Z"},
    ]
    assert scaling_reason(AUTOSCALER, events) == "New size: 4; CPU 91 % of the request, target 60 %"
    assert scaling_reason(None, []) == ""
    assert (cpu_percent(AUTOSCALER), cpu_percent({"status": {"currentMetrics": None}}), cpu_percent(None)) == (
        91.0,
        None,
        None,
    )


def test_an_autoscaler_that_cannot_work_says_why() -> None:
    """One that is switched off by a count of 0 is no trouble."""
    assert scaling_trouble(AUTOSCALER) == "The autoscaler does not scale: no metrics."
    off = {"status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}]}}
    assert scaling_trouble(off) == scaling_trouble(None) == ""
