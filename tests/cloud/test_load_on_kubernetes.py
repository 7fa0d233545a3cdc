"""Objects of load tests on Kubernetes; tests/platforms/test_load.py has the contract of all load generators."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.kubernetes_runtimes import Process
from tests.cloud.kubernetes_store import NAMESPACE
from tests.cloud.locust_cluster import LocustCluster
from tests.cloud.worker_role import beyond_the_role
from tests.platforms.counting_target import CountingTarget
from tests.platforms.progress import RecordedProgress
from tests.platforms.traffic_plans import is_quiet, plan
from tests.waiting import wait_until
from workers.contract.load import Stage
from workers.errors import JobCancelled, PermanentError
from workers.platforms.cloud.load.generator import KubernetesLoad
from workers.platforms.cloud.load.manifests import UNTIL, Attempt, LoadManifests, is_over
from workers.platforms.protocols import TrafficPlan

IMAGE = "seatrial-load:0.1.0"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocustCluster]:
    with LocustCluster(tmp_path) as cluster:
        yield cluster
        assert not cluster.refused


def generator(cluster: LocustCluster, *, image: str = IMAGE) -> KubernetesLoad:
    return KubernetesLoad(api=cluster.api(), image=image)


def leave_objects(
    cluster: LocustCluster, *, job_id: str, mark: str = "aaaaaa", until_s: float | None = None
) -> Attempt:
    """Create all objects and pods of a dead worker's test."""
    api, manifests, attempt = cluster.api(), LoadManifests(), Attempt.at(job_id, mark)
    until_s = time.time() + 600 if until_s is None else until_s
    root = api.apply(manifests.config_map(attempt, job_id=job_id, until_s=until_s, data={"host": "", "master": ""}))
    for obj in manifests.owned(attempt, root, image="missing", workers=2):
        api.apply(obj)
    return attempt


def test_config_map_owns_all_objects(cluster: LocustCluster, target: CountingTarget) -> None:
    """The Role in k8s/environment suffices to create them."""
    with generator(cluster).start(plan=plan(target), progress=RecordedProgress()):
        objects = dict(cluster.objects)
        pods = cluster.api().list("Pod", labels={"app.kubernetes.io/name": "locust"})
    roots = [obj for (kind, _), obj in objects.items() if kind == "ConfigMap"]
    assert [obj["metadata"]["annotations"]["seatrial/job"] for obj in roots] == ["job-1"]
    assert {"locustfile.py", "arrivals.py", "ledger.py", "plan.json", "host", "master"} <= set(roots[0]["data"])
    name, uid = roots[0]["metadata"]["name"], roots[0]["metadata"]["uid"]
    assert {key for key in objects if key[0] != "ConfigMap"} == {
        ("Service", f"{name}-master"),
        ("Deployment", f"{name}-master"),
        ("Deployment", f"{name}-worker"),
    }
    others = [obj for (kind, _), obj in objects.items() if kind != "ConfigMap"]
    assert all(obj["metadata"]["ownerReferences"][0]["uid"] == uid for obj in others)
    assert len(pods) == 3
    assert not beyond_the_role(cluster.stand_in.rights)
    assert {pod["metadata"]["labels"]["app.kubernetes.io/instance"] for pod in pods} == {name}


def test_next_attempt_removes_the_objects_of_the_earlier_one(cluster: LocustCluster, target: CountingTarget) -> None:
    earlier = leave_objects(cluster, job_id="job-1")
    progress = RecordedProgress(identities={"locust": earlier.name})
    with generator(cluster).start(plan=plan(target), progress=progress):
        names = {name for _, name in cluster.objects}
        assert not any(name.startswith(earlier.name) for name in names)
    assert progress.identities["locust"] != earlier.name
    assert not cluster.objects


def test_deletion_of_the_config_map_removes_all_objects(cluster: LocustCluster) -> None:
    attempt = leave_objects(cluster, job_id="12")
    cluster.api().delete("ConfigMap", attempt.name)
    wait_until(lambda: not cluster.objects and not cluster.pods)


def test_sweep_removes_tests_of_ended_jobs_and_old_tests_of_unknown_jobs(cluster: LocustCluster) -> None:
    """A running job's test stays, also by a clock that is ahead, and so do other objects."""
    leave_objects(cluster, job_id="1")
    running = leave_objects(cluster, job_id="2", until_s=time.time() - 1)
    leave_objects(cluster, job_id="3", until_s=time.time() - 1)
    cluster.api().apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}})
    assert generator(cluster).sweep(ended={"1": True, "2": False}.get) == 2
    assert {name for kind, name in cluster.objects if kind == "ConfigMap"} == {running.name, "other"}
    wait_until(lambda: {pod.split("-")[1] for pod in cluster.pods} == {"2"})


def test_sweep_does_not_wait_for_pods_that_do_not_end(cluster: LocustCluster) -> None:
    """Pods of a lost node end with their node."""
    for job_id in ("1", "2"):
        labels = leave_objects(cluster, job_id=job_id).selector
        stuck = {"name": f"stuck-{job_id}", "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z"}
        cluster.stand_in.store.put({"apiVersion": "v1", "kind": "Pod", "metadata": stuck, "status": {}})
    assert generator(cluster).sweep(ended=lambda job_id: True) == 2
    assert not [name for kind, name in cluster.objects if kind != "Pod"]


def test_workers_end_without_their_master(cluster: LocustCluster, target: CountingTarget) -> None:
    with generator(cluster).start(plan=plan(target, duration_s=120), progress=RecordedProgress()):
        wait_until(lambda: target.count > 20)
        containers = {name: pod.container for name, pod in cluster.pods.items()}
        workers = [containers.pop(name) for name in list(containers) if "-worker-" in name]
        (master,) = containers.values()
        assert isinstance(master, Process)
        master.process.kill()
        wait_until(lambda: all(worker and worker.exit_code() is not None for worker in workers))
        assert is_quiet(target)


def test_silent_driver_ends_the_traffic(cluster: LocustCluster, target: CountingTarget) -> None:
    """The master stops a test without status requests, although its keepalive is open."""
    with generator(cluster).start(plan=plan(target, duration_s=120), progress=RecordedProgress()) as load:
        wait_until(lambda: target.count > 20)
        wait_until(lambda: is_quiet(target))
        assert "stopped" in load.result().generator_trouble


def test_pod_without_a_node_is_logged_and_the_job_can_be_cancelled(tmp_path: Path, target: CountingTarget) -> None:
    with LocustCluster(tmp_path, room=1) as cluster:
        progress = RecordedProgress()

        def cancel_after_log() -> None:
            wait_until(lambda: bool(progress.lines))
            progress.cancelled.set()

        canceller = threading.Thread(target=cancel_after_log)
        canceller.start()
        with pytest.raises(JobCancelled):
            generator(cluster).start(plan=plan(target), progress=progress).__enter__()
        canceller.join()
        assert progress.lines == ["The pod cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu."]
        assert not cluster.objects and not cluster.pods
    assert target.count == 1


def test_missing_image_ends_the_job_with_the_registrys_message(cluster: LocustCluster, target: CountingTarget) -> None:
    with pytest.raises(PermanentError, match="The image missing cannot be pulled: missing: not found"):
        generator(cluster, image="missing").start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert not cluster.objects


def test_error_of_a_failed_start_has_the_pods_last_log_lines(
    cluster: LocustCluster, target: CountingTarget, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "locustfile.py").write_text("raise RuntimeError('the shop is closed')\n")
    load = KubernetesLoad(api=cluster.api(), image=IMAGE, locust_dir=broken)
    with pytest.raises(PermanentError, match=r"ended before it was ready(.|\n)*the shop is closed"):
        load.start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert not cluster.objects


def test_removal_is_retried_when_the_api_server_fails(cluster: LocustCluster, target: CountingTarget) -> None:
    with generator(cluster).start(plan=plan(target), progress=RecordedProgress()):
        cluster.stand_in.failing["DELETE"] = 2
    assert not cluster.objects and not cluster.pods


def test_service_is_checked_through_the_api_server_from_outside(cluster: LocustCluster, target: CountingTarget) -> None:
    """A Service with a wrong response or without endpoints gets no load."""
    cluster.targets["iris-staging"] = ("127.0.0.1", int(target.address.rpartition(":")[2]))
    target.behave("mistaken")
    empty = {"selector": {"app": "absent"}, "ports": [{"port": 8501}]}
    cluster.api().apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "empty"}, "spec": empty})
    for service, words in (("iris-staging", "with predictions"), ("empty", "no endpoints available")):
        url = f"http://{service}.{NAMESPACE}.svc:8501/v1/models/iris:predict"
        unreachable = TrafficPlan(
            url=url, body=b"{}", stages=(Stage(from_rps=10, to_rps=10, length_s=5),), ramp_s=0, job_id="job-1"
        )
        with pytest.raises(PermanentError, match=words):
            generator(cluster).start(plan=unreachable, progress=RecordedProgress()).__enter__()
    assert target.count == 1
    assert set(cluster.objects) == {("Service", "empty")}


def test_config_map_without_a_valid_time_is_never_over() -> None:
    assert not is_over({"metadata": {}}, now_s=1e12)
    assert not is_over({"metadata": {"annotations": {UNTIL: "soon"}}}, now_s=1e12)
    assert is_over({"metadata": {"annotations": {UNTIL: "2026-01-01T00:00:00+00:00"}}}, now_s=1e12)


def test_names_are_dns_labels_for_any_job_id() -> None:
    """They leave room for a pod's two hashes."""
    for job_id in ("7", "job-1", "Ä/ö_" * 40, ""):
        name = Attempt.at(job_id, "0a1b2c").worker
        assert len(name) <= 63 - len("-0123456789-01234")
        assert name.replace("-", "").isalnum() and name.islower() and name.isascii()
