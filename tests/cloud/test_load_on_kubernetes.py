"""What load on Kubernetes owes beyond tests/platforms/test_load.py: its objects come, are as they should be, and go."""

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
from workers.platforms.protocols.load import TrafficPlan

IMAGE = "seatrial-load:0.1.0"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocustCluster]:
    with LocustCluster(tmp_path) as cluster:
        yield cluster
        assert not cluster.refused


def generator(cluster: LocustCluster, *, image: str = IMAGE) -> KubernetesLoad:
    return KubernetesLoad(api=cluster.api(), image=image)


def left_over(cluster: LocustCluster, *, job_id: str, mark: str = "aaaaaa", until_s: float | None = None) -> Attempt:
    """All objects of a test whose worker has died, with their pods."""
    api, manifests, attempt = cluster.api(), LoadManifests(), Attempt.at(job_id, mark)
    until_s = time.time() + 600 if until_s is None else until_s
    root = api.apply(manifests.config_map(attempt, job_id=job_id, until_s=until_s, data={"host": "", "master": ""}))
    for obj in manifests.owned(attempt, root, image="missing", workers=2):
        api.apply(obj)
    return attempt


def test_everything_is_named_labelled_and_owned(cluster: LocustCluster, target: CountingTarget) -> None:
    """A test is one ConfigMap that owns a Service and two Deployments; the Role in k8s/environment suffices for it."""
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


def test_two_attempts_share_no_object(cluster: LocustCluster, target: CountingTarget) -> None:
    """What an earlier attempt at the job left behind goes before the next one sends anything."""
    earlier = left_over(cluster, job_id="job-1")
    progress = RecordedProgress(identities={"locust": earlier.name})
    with generator(cluster).start(plan=plan(target), progress=progress):
        names = {name for _, name in cluster.objects}
        assert not any(name.startswith(earlier.name) for name in names)
    assert progress.identities["locust"] != earlier.name
    assert not cluster.objects


def test_deleting_the_config_map_removes_all(cluster: LocustCluster) -> None:
    """Whoever deletes the one object by hand is rid of the test."""
    attempt = left_over(cluster, job_id="12")
    cluster.api().delete("ConfigMap", attempt.name)
    wait_until(lambda: not cluster.objects and not cluster.pods)


def test_sweeping_spares_tests_that_run(cluster: LocustCluster) -> None:
    """Tests of ended jobs go, and those whose time has passed; one of a running job and others' objects stay."""
    left_over(cluster, job_id="1")
    running = left_over(cluster, job_id="2")
    left_over(cluster, job_id="3", until_s=time.time() - 1)
    cluster.api().apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "somebody-elses"}})
    assert generator(cluster).sweep(ended=lambda job_id: job_id == "1") == 2
    assert {name for kind, name in cluster.objects if kind == "ConfigMap"} == {running.name, "somebody-elses"}
    wait_until(lambda: {pod.split("-")[1] for pod in cluster.pods} == {"2"})


def test_a_pod_that_does_not_end_keeps_no_other_test_from_being_swept(cluster: LocustCluster) -> None:
    """That of a lost node goes when its node does: a worker that starts does not wait for it."""
    for job_id in ("1", "2"):
        labels = left_over(cluster, job_id=job_id).selector
        stuck = {"name": f"stuck-{job_id}", "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z"}
        cluster.stand_in.store.put({"apiVersion": "v1", "kind": "Pod", "metadata": stuck, "status": {}})
    assert generator(cluster).sweep(ended=lambda job_id: True) == 2
    assert not [name for kind, name in cluster.objects if kind != "Pod"]


def test_without_its_master_the_traffic_ends(cluster: LocustCluster, target: CountingTarget) -> None:
    """Nobody drives and the master is dead: the workers notice by themselves, long before the test's time is over."""
    with generator(cluster).start(plan=plan(target, duration_s=120), progress=RecordedProgress()):
        wait_until(lambda: target.count > 20)
        containers = {name: pod.container for name, pod in cluster.pods.items()}
        workers = [containers.pop(name) for name in list(containers) if "-worker-" in name]
        (master,) = containers.values()
        assert isinstance(master, Process)
        master.process.kill()
        wait_until(lambda: all(worker and worker.exit_code() is not None for worker in workers))
        assert is_quiet(target)


def test_a_driver_that_stands_still_ends_the_traffic(cluster: LocustCluster, target: CountingTarget) -> None:
    """One that holds the test and asks no more is taken for dead: the master stops the test, and says so."""
    with generator(cluster).start(plan=plan(target, duration_s=120), progress=RecordedProgress()) as load:
        wait_until(lambda: target.count > 20)
        wait_until(lambda: is_quiet(target))
        assert "stopped" in load.result().generator_trouble


def test_no_room_is_told_and_can_be_cancelled(tmp_path: Path, target: CountingTarget) -> None:
    """While a pod finds no node the job says so, in the scheduler's words; its cancel removes what there is."""
    with LocustCluster(tmp_path, room=1) as cluster:
        progress = RecordedProgress()

        def cancel_when_told() -> None:
            wait_until(lambda: bool(progress.lines))
            progress.cancelled.set()

        canceller = threading.Thread(target=cancel_when_told)
        canceller.start()
        with pytest.raises(JobCancelled):
            generator(cluster).start(plan=plan(target), progress=progress).__enter__()
        canceller.join()
        assert progress.lines == ["The pod cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu."]
        assert not cluster.objects and not cluster.pods
    assert target.count == 1


def test_an_image_that_is_not_there_ends_the_job(cluster: LocustCluster, target: CountingTarget) -> None:
    """The error carries the registry's words, and nothing is left."""
    with pytest.raises(PermanentError, match="The image missing cannot be pulled: missing: not found"):
        generator(cluster, image="missing").start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert not cluster.objects


def test_locusts_last_words_are_in_the_error(cluster: LocustCluster, target: CountingTarget, tmp_path: Path) -> None:
    """Where a pod ends before the test begins, the error carries what it wrote last."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "locustfile.py").write_text("raise RuntimeError('the docker_environment is closed')\n")
    load = KubernetesLoad(api=cluster.api(), image=IMAGE, locust_dir=broken)
    with pytest.raises(PermanentError, match=r"ended before it was ready(.|\n)*the docker_environment is closed"):
        load.start(plan=plan(target), progress=RecordedProgress()).__enter__()
    assert not cluster.objects


def test_a_server_that_is_away_for_a_moment_leaves_nothing(cluster: LocustCluster, target: CountingTarget) -> None:
    """Removal is tried again where the API server fails."""
    with generator(cluster).start(plan=plan(target), progress=RecordedProgress()):
        cluster.stand_in.failing["DELETE"] = 2
    assert not cluster.objects and not cluster.pods


def test_a_service_of_the_cluster_is_tried_through_the_api_server(
    cluster: LocustCluster, target: CountingTarget
) -> None:
    """From outside, a target that only the cluster's DNS knows is asked by proxy; with nobody there it gets no load."""
    cluster.targets["iris-staging"] = ("127.0.0.1", int(target.address.rpartition(":")[2]))
    target.behave("mistaken")
    empty = {"selector": {"of": "nobody"}, "ports": [{"port": 8501}]}
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


def test_a_time_that_nobody_wrote_is_never_over() -> None:
    """Only a ConfigMap that tells its test's time can be out of it."""
    assert not is_over({"metadata": {}}, now_s=1e12)
    assert not is_over({"metadata": {"annotations": {UNTIL: "soon"}}}, now_s=1e12)
    assert is_over({"metadata": {"annotations": {UNTIL: "2026-01-01T00:00:00+00:00"}}}, now_s=1e12)


def test_names_fit_whatever_the_job_is_called() -> None:
    """Names are DNS labels short enough for a pod's two hashes."""
    for job_id in ("7", "job-1", "Ä/ö_" * 40, ""):
        name = Attempt.at(job_id, "0a1b2c").worker
        assert len(name) <= 63 - len("-0123456789-01234")
        assert name.replace("-", "").isalnum() and name.islower() and name.isascii()
