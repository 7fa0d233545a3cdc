"""The Kubernetes adapter of Cluster, against the stand-in and pods with scripted states."""

import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")

from tests.cloud.kubernetes_harness import QUICK, STAGING, KubernetesHarness, kubernetes_harness
from tests.cloud.kubernetes_store import versions
from tests.platforms.progress import RecordedProgress
from tests.waiting import wait_until
from workers.contract.replicas import Replicas
from workers.errors import PermanentError
from workers.platforms.cloud.endpoints.cluster import KubernetesCluster
from workers.platforms.cloud.endpoints.manifests import SERVING, Manifests
from workers.platforms.protocols import Endpoint


@pytest.fixture
def harness() -> Iterator[KubernetesHarness]:
    """Yield an empty cluster."""
    with kubernetes_harness() as harness:
        yield harness


def test_first_release_is_served_after_the_rollout(harness: KubernetesHarness) -> None:
    """The endpoint is ready, names its job, has answered once, and is found again."""
    progress = RecordedProgress()
    endpoint = harness.cluster.roll_out(release=harness.release(1), progress=progress)
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.job_id) == (1, 1, 1, "job-1")
    assert endpoint.address == "http://fruit-staging.test.svc:8501"
    assert progress.reports[-1] == (1, 1, "1 of 1 replicas of v1 ready")
    assert progress.lines[0] == "0 → 1: replicas set to 1"
    assert progress.lines[1].startswith("http://fruit-staging.test.svc:8501 answers: price 1.5 in ")
    assert ("POST", "/api/v1/namespaces/test/services/fruit-staging:8501/proxy/v1/models/fruit/versions/1:predict") in (
        harness.stand_in.asked
    )
    assert KubernetesCluster(api=harness.stand_in.api()).endpoint(model="fruit", environment=STAGING) == endpoint


def test_rollout_of_the_running_release_changes_no_object(harness: KubernetesHarness) -> None:
    """Also for another job."""
    first = harness.up(1, replicas=(1, 3))
    before = sorted(versions(harness.store))
    assert harness.up(1, replicas=(1, 3)) == first
    assert harness.up(1, replicas=(1, 3), job_id="job-9") == first
    assert sorted(versions(harness.store)) == before


def test_autoscaler_exists_only_for_bounds(harness: KubernetesHarness) -> None:
    """Fixed replicas delete it, and the number of replicas moves into the new bounds at once."""
    endpoint = harness.up(1, replicas=(2, 4))
    assert (endpoint.ready, endpoint.replicas) == (2, Replicas(minimum=2, maximum=4))
    autoscaler = harness.store.get("HorizontalPodAutoscaler", "fruit-staging")
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (2, 4)
    progress = RecordedProgress()
    three = Replicas(minimum=3, maximum=3)
    endpoint = harness.cluster.scale(model="fruit", environment=STAGING, replicas=three, progress=progress)
    assert (endpoint.ready, endpoint.replicas, endpoint.version) == (3, three, 1)
    assert [line for line in progress.lines if "→" in line][-1].endswith("→ 3: replicas set to 3")
    assert "HorizontalPodAutoscaler" not in harness.kinds()
    assert harness.now() == endpoint


def test_new_release_keeps_the_replicas_set_by_the_autoscaler(harness: KubernetesHarness) -> None:
    """The applied Deployment never contains replicas."""
    harness.up(1, replicas=(1, 4))
    harness.controllers.autoscale("fruit-staging", to=3, cpu_percent=150)
    wait_until(lambda: harness.now().ready == 3)
    progress = RecordedProgress()
    endpoint = harness.cluster.roll_out(release=harness.release(2, replicas=(1, 4)), progress=progress)
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.cpu_percent) == (2, 3, 3, 150.0)
    assert not [line for line in progress.lines if "→" in line], "three replicas became three"


def test_scaling_by_the_autoscaler_is_reported_with_its_reason(harness: KubernetesHarness) -> None:
    """The reason is the event's message and the measured CPU."""
    harness.up(1, replicas=(1, 4))
    progress = RecordedProgress()
    release = harness.release(2, replicas=(1, 4), state="starting")

    def grow(fact: str) -> None:
        if harness.store.get("Deployment", "fruit-staging")["spec"]["replicas"] == 1:
            harness.controllers.autoscale("fruit-staging", to=2, cpu_percent=150)
            harness.kubelet.states[release.manifest.image] = "ready"

    progress.on_report = grow
    harness.cluster.roll_out(release=release, progress=progress)
    line = next(line for line in progress.lines if line.startswith("1 → 2"))
    assert "New size: 2; reason: cpu resource utilization" in line
    assert "CPU 150 % of the request, target 60 %" in line


def test_rollout_continues_when_trouble_passes(harness: KubernetesHarness) -> None:
    release = harness.release(1, state="no node")
    progress = RecordedProgress()

    def add_a_node(fact: str) -> None:
        if "The pod cannot be scheduled" in fact:
            harness.kubelet.states[release.manifest.image] = "ready"

    progress.on_report = add_a_node
    assert harness.cluster.roll_out(release=release, progress=progress).ready == 1


def test_release_without_image_is_refused_before_any_change(harness: KubernetesHarness) -> None:
    release = harness.release(1)
    from dataclasses import replace

    with pytest.raises(PermanentError, match="fruit v1 has no container image"):
        harness.cluster.roll_out(
            release=replace(release, manifest=replace(release.manifest, image="")), progress=RecordedProgress()
        )
    assert harness.kinds() == set()


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "Pod"])
def test_last_report_is_complete_although_one_watch_lags(harness: KubernetesHarness, kind: str) -> None:
    """The server does not order events of different watches."""
    harness.stand_in.lag_s[kind] = 0.5
    release = harness.release(1, replicas=(2, 2), state="starting")
    progress = RecordedProgress()
    progress.on_report = lambda fact: harness.kubelet.states.update({release.manifest.image: "ready"})
    harness.cluster.roll_out(release=release, progress=progress)
    assert progress.reports[-1] == (2, 2, "2 of 2 replicas of v1 ready")


@pytest.mark.parametrize("fault", ["cut", "forget"])
def test_rollout_survives_broken_watches(harness: KubernetesHarness, fault: str) -> None:
    """After a broken connection and after 410 Gone, objects are listed again."""
    release = harness.release(1, state="starting")
    progress = RecordedProgress()
    broken = threading.Event()

    def requests() -> int:
        return sum(method == "GET" and path.endswith("/test/deployments") for method, path in harness.stand_in.asked)

    def break_watches(fact: str) -> None:
        if not broken.is_set():
            broken.set()
            wait_until(lambda: requests() == 2)
            harness.stand_in.cut() if fault == "cut" else harness.store.forget()
            harness.kubelet.states[release.manifest.image] = "ready"

    progress.on_report = break_watches
    assert harness.cluster.roll_out(release=release, progress=progress).ready == 1
    assert requests() > 2, "a list, its watch, and a list again"


def test_foreign_deployment_is_not_changed(harness: KubernetesHarness) -> None:
    """Rolling out and looking raise an error; removing ignores it."""
    spec = {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}}
    harness.store.put(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "fruit-staging", "annotations": {}},
            "spec": spec,
        }
    )
    with pytest.raises(PermanentError, match="fruit-staging in namespace test is not one of Seatrial's"):
        harness.up(1)
    with pytest.raises(PermanentError, match="is not one of Seatrial's"):
        harness.cluster.endpoint(model="fruit", environment=STAGING)
    harness.cluster.remove(model="fruit", environment=STAGING)
    assert harness.store.get("Deployment", "fruit-staging")["spec"]["template"]["spec"]["containers"][0]["image"] == "x"


def test_foreign_service_is_not_changed(harness: KubernetesHarness) -> None:
    """The rollout fails before it applies any object."""
    harness.store.put(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fruit-staging"}, "spec": {"ports": []}}
    )
    with pytest.raises(PermanentError, match="The Service fruit-staging in namespace test is not one of Seatrial's"):
        harness.up(1)
    assert harness.kinds() == {"Service"}
    assert harness.store.get("Service", "fruit-staging")["spec"] == {"ports": []}


def test_autoscaler_without_metrics_is_logged_after_the_rollout(harness: KubernetesHarness) -> None:
    """The release runs, but would never scale."""
    harness.up(1, replicas=(1, 3))
    failing = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}
    autoscaler = harness.store.get("HorizontalPodAutoscaler", "fruit-staging")
    harness.store.put(autoscaler | {"status": {"conditions": [failing]}})
    progress = RecordedProgress()
    harness.cluster.roll_out(release=harness.release(2, replicas=(1, 3)), progress=progress)
    assert progress.lines[-1] == "The autoscaler does not scale: no metrics."


def test_deleted_autoscaler_is_reported_as_trouble(harness: KubernetesHarness) -> None:
    """Setting the bounds again restores it."""
    bounds = Replicas(minimum=1, maximum=3)
    assert harness.up(1, replicas=(1, 3)).trouble == ""
    harness.api.delete("HorizontalPodAutoscaler", "fruit-staging")
    assert harness.now().trouble.startswith("The autoscaler was deleted")
    harness.cluster.scale(model="fruit", environment=STAGING, replicas=bounds, progress=RecordedProgress())
    assert harness.now().trouble == ""


def test_remove_deletes_every_object_and_may_be_repeated(harness: KubernetesHarness) -> None:
    """The name can then be used again."""
    harness.up(1, replicas=(1, 3))
    harness.cluster.remove(model="fruit", environment=STAGING)
    assert harness.kinds() == set()
    harness.cluster.remove(model="fruit", environment=STAGING)
    assert harness.up(2).version == 2


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_address_follows_the_type_of_the_service(harness: KubernetesHarness, tmp_path: Path, kind: str) -> None:
    """The rollout waits for it and requests the prediction there, not through the API server."""
    folder = copytree(SERVING, tmp_path / "serving")
    text = (folder / "service.yaml").read_text().replace("type: ClusterIP", f"type: {kind}")
    port = (
        f"port: {harness.stand_in.port}" if kind == "LoadBalancer" else f"port: 8501, nodePort: {harness.stand_in.port}"
    )
    (folder / "service.yaml").write_text(text.replace("port: 8501", port))
    cluster = KubernetesCluster(api=harness.api, manifests=Manifests(folder=folder), timing=QUICK)
    release = harness.release(1)
    endpoints: list[Endpoint] = []
    progress = RecordedProgress()
    thread = threading.Thread(
        target=lambda: endpoints.append(cluster.roll_out(release=release, progress=progress)), daemon=True
    )
    thread.start()
    if kind == "LoadBalancer":
        wait_until(lambda: "PodDisruptionBudget" in harness.kinds() and len(harness.controllers.pods()) == 1)
        service = harness.store.get("Service", "fruit-staging")
        waiting = (0, None, "waiting for the address of the Service fruit-staging")
        wait_until(lambda: progress.reports[-1:] == [waiting])
        harness.store.put(service | {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}})
    thread.join(60)
    assert [endpoint.address for endpoint in endpoints] == [f"http://127.0.0.1:{harness.stand_in.port}"]
    assert ("POST", "/v1/models/fruit/versions/1:predict") in harness.stand_in.asked


def test_doctor_names_missing_rights(harness: KubernetesHarness) -> None:
    """One finding for each resource, with the command that grants it; one in all for an unreachable server."""
    assert all(finding.ok for finding in harness.cluster.diagnose())
    harness.stand_in.refused["DELETE", "deployments"] = (403, "no")
    missing = [finding for finding in harness.cluster.diagnose() if not finding.ok]
    assert [finding.what for finding in missing] == ["delete deployments on kubernetes://test-cluster/test"]
    assert "create role seatrial-deployments --verb=delete --resource=deployments.apps" in missing[0].advice
    harness.stand_in.__exit__()
    away = KubernetesCluster(api=harness.stand_in.api()).diagnose()
    assert [finding.ok for finding in away] == [False]
