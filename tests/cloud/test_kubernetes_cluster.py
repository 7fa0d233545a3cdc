"""What every Cluster owes, tried on the Kubernetes adapter against an API server's stand-in with its controllers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

client = pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")

from tests.cloud.kubernetes_controllers import Controllers  # noqa: E402
from tests.cloud.kubernetes_stand_in import StandIn  # noqa: E402
from tests.cloud.kubernetes_store import versions  # noqa: E402
from tests.cloud.scripted_kubelet import ScriptedKubelet  # noqa: E402
from tests.platforms.progress import RecordedProgress  # noqa: E402
from tests.waiting import wait_until  # noqa: E402
from workers.contract.replicas import Replicas  # noqa: E402
from workers.contract.settings import Environment, Model  # noqa: E402
from workers.errors import JobCancelled, PermanentError, ShuttingDown, Superseded, TemporaryError  # noqa: E402
from workers.platforms.cloud.endpoints.cluster import KubernetesCluster  # noqa: E402
from workers.platforms.cloud.endpoints.manifests import SERVING, Manifests  # noqa: E402
from workers.platforms.cloud.endpoints.rollout_watcher import RolloutTiming  # noqa: E402
from workers.platforms.protocols.artifacts import Manifest  # noqa: E402
from workers.platforms.protocols.cluster import Endpoint, Release  # noqa: E402

MODEL = Model(name="fruit", type="linear_reg", label="price", query="SELECT 1", sample=({"weight": 1.0},))
STAGING = Environment(name="staging", cpu_request="250m", cpu_target=60)
QUICK = RolloutTiming(poll_s=0.02, address_s=60.0, answer_s=5.0, undone_s=60.0, ended_s=60.0, stuck_s=60.0)


class KubernetesFixture:
    """A cluster to try, the server and the controllers behind it, and releases for it."""

    def __init__(self, stand_in: StandIn, controllers: Controllers, pods: ScriptedKubelet) -> None:
        self.stand_in, self.controllers, self.pods, self.store = stand_in, controllers, pods, stand_in.store
        self.api = stand_in.api()
        self.cluster = KubernetesCluster(api=self.api, timing=QUICK)

    def release(
        self, version: int, *, replicas: tuple[int, int] = (1, 1), fate: str = "ready", job_id: str = ""
    ) -> Release:
        image = f"registry/fruit@sha256:{version:064}"
        self.pods.fate[image] = fate
        manifest = Manifest(
            model="fruit", version=version, digest=f"sha256:{version}", format="saved_model", size_bytes=1, metrics={},
            query_sha256="", training="", trained_by="", job_id=f"job-{version}", created_at_s=0.0, image=image,
        )  # fmt: skip
        low, high = replicas
        return Release(
            model=MODEL, environment=STAGING, manifest=manifest, folder=Path("unused"),
            replicas=Replicas(minimum=low, maximum=high), job_id=job_id or f"job-{version}", asked_by="ada",
        )  # fmt: skip

    def up(self, version: int, **how: Any) -> Endpoint:
        return self.cluster.roll_out(release=self.release(version, **how), progress=RecordedProgress())

    def now(self) -> Endpoint:
        endpoint = self.cluster.endpoint(model="fruit", environment=STAGING)
        assert endpoint is not None
        return endpoint

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.store.objects if kind != "Event"}


@pytest.fixture
def cluster_under_test() -> Iterator[KubernetesFixture]:
    """A cluster with nothing in it."""
    with ExitStack() as exit_stack:
        stand_in = exit_stack.enter_context(StandIn())
        pods = ScriptedKubelet(stand_in)
        yield KubernetesFixture(stand_in, exit_stack.enter_context(Controllers(stand_in, pods)), pods)


def test_a_first_release_is_served_when_it_is_rolled_out(cluster_under_test: KubernetesFixture) -> None:
    """The returned endpoint is ready, knows where it came from, has answered once, and is found again."""
    progress = RecordedProgress()
    endpoint = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=progress)
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.job_id) == (1, 1, 1, "job-1")
    assert endpoint.address == "http://fruit-staging.cluster_under_test.svc:8501"
    assert progress.reports[-1] == (1, 1, "1 of 1 replicas of v1 ready")
    assert progress.lines[0] == "0 → 1: replicas set to 1"
    assert progress.lines[1].startswith("http://fruit-staging.cluster_under_test.svc:8501 answers: price 1.5 in ")
    assert (
        "POST",
        "/api/v1/namespaces/cluster_under_test/services/fruit-staging:8501/proxy/v1/models/fruit/versions/1:predict",
    ) in (cluster_under_test.stand_in.asked)
    assert (
        KubernetesCluster(api=cluster_under_test.stand_in.api()).endpoint(model="fruit", environment=STAGING)
        == endpoint
    )


def test_a_release_that_runs_already_changes_nothing(cluster_under_test: KubernetesFixture) -> None:
    """A second roll-out of the same version, for another job too, leaves every object as it was."""
    first = cluster_under_test.up(1, replicas=(1, 3))
    before = sorted(versions(cluster_under_test.store))
    assert cluster_under_test.up(1, replicas=(1, 3)) == first
    assert cluster_under_test.up(1, replicas=(1, 3), job_id="job-9") == first
    assert sorted(versions(cluster_under_test.store)) == before


def test_only_bounds_have_an_autoscaler(cluster_under_test: KubernetesFixture) -> None:
    """It comes with bounds that differ, goes with those that do not, and the count is moved into them at once."""
    endpoint = cluster_under_test.up(1, replicas=(2, 4))
    assert (endpoint.ready, endpoint.replicas) == (2, Replicas(minimum=2, maximum=4))
    autoscaler = cluster_under_test.store.get("HorizontalPodAutoscaler", "fruit-staging")
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (2, 4)
    progress = RecordedProgress()
    three = Replicas(minimum=3, maximum=3)
    endpoint = cluster_under_test.cluster.scale(model="fruit", environment=STAGING, replicas=three, progress=progress)
    assert (endpoint.ready, endpoint.replicas, endpoint.version) == (3, three, 1)
    assert [line for line in progress.lines if "→" in line][-1].endswith("→ 3: replicas set to 3")
    assert "HorizontalPodAutoscaler" not in cluster_under_test.kinds()
    assert cluster_under_test.now() == endpoint


def test_a_new_release_keeps_the_count_that_the_autoscaler_chose(cluster_under_test: KubernetesFixture) -> None:
    """The applied Deployment says nothing of replicas, neither for the first release nor for the next."""
    cluster_under_test.up(1, replicas=(1, 4))
    cluster_under_test.controllers.autoscale("fruit-staging", to=3, cpu_percent=150)
    wait_until(lambda: cluster_under_test.now().ready == 3)
    progress = RecordedProgress()
    endpoint = cluster_under_test.cluster.roll_out(
        release=cluster_under_test.release(2, replicas=(1, 4)), progress=progress
    )
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.cpu_percent) == (2, 3, 3, 150.0)
    assert not [line for line in progress.lines if "→" in line], "three replicas became three"


def test_the_autoscalers_own_words_are_the_reason_of_its_changes(cluster_under_test: KubernetesFixture) -> None:
    """A count that changes while a job waits is told with the event's message and the measured use."""
    cluster_under_test.up(1, replicas=(1, 4))
    progress = RecordedProgress()
    release = cluster_under_test.release(2, replicas=(1, 4), fate="starting")

    def grow(fact: str) -> None:
        if cluster_under_test.store.get("Deployment", "fruit-staging")["spec"]["replicas"] == 1:
            cluster_under_test.controllers.autoscale("fruit-staging", to=2, cpu_percent=150)
            cluster_under_test.pods.fate[release.manifest.image] = "ready"

    progress.on_report = grow
    cluster_under_test.cluster.roll_out(release=release, progress=progress)
    told = next(line for line in progress.lines if line.startswith("1 → 2"))
    assert "New size: 2; reason: cpu resource utilization" in told
    assert "CPU 150 % of the request, target 60 %" in told


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("no image", r"v2 does not become ready\. The image registry/fruit@.* cannot be pulled: .*not found"),
        ("crashes", r"The container ended 3 times \(exit code 137, OOMKilled\)\. Its log ends: cannot load fruit"),
    ],
)
def test_a_release_that_cannot_come_up_is_undone_at_once(
    cluster_under_test: KubernetesFixture, fate: str, words: str
) -> None:
    """No deadline is waited for; the version before is alone again, and the error holds the cluster's words."""
    before = cluster_under_test.up(1, replicas=(1, 3))
    progress = RecordedProgress()
    progress.on_report = lambda fact: cluster_under_test.pods.logs.update(
        dict.fromkeys(cluster_under_test.controllers.pods(), "cannot load fruit")
    )
    with pytest.raises(PermanentError, match=words):
        cluster_under_test.cluster.roll_out(
            release=cluster_under_test.release(2, replicas=(2, 2), fate=fate), progress=progress
        )
    assert cluster_under_test.now() == before
    assert cluster_under_test.controllers.pods(version="v2") == []
    assert "HorizontalPodAutoscaler" in cluster_under_test.kinds(), "its bounds are back"


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("no node", "The pod cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu."),
        ("quota", "exceeded quota: small, requested: pods=1."),
    ],
)
def test_trouble_that_may_pass_is_told_while_it_lasts(
    cluster_under_test: KubernetesFixture, fate: str, words: str
) -> None:
    """Once in the job's detail and on its card; when the deadline has passed, it is in the error."""
    cluster_under_test.up(1)
    progress = RecordedProgress()

    def let_the_deadline_pass(fact: str) -> None:
        if words in fact:
            cluster_under_test.controllers.deadline_passed = True

    progress.on_report = let_the_deadline_pass
    with pytest.raises(PermanentError) as caught:
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2, fate=fate), progress=progress)
    assert words in str(caught.value)
    assert len([line for line in progress.lines if words in line]) == 1
    assert cluster_under_test.now().version == 1


def test_trouble_that_passes_is_no_failure(cluster_under_test: KubernetesFixture) -> None:
    """A node that comes late, and the release is up."""
    release = cluster_under_test.release(1, fate="no node")
    progress = RecordedProgress()

    def add_a_node(fact: str) -> None:
        if "The pod cannot be scheduled" in fact:
            cluster_under_test.pods.fate[release.manifest.image] = "ready"

    progress.on_report = add_a_node
    assert cluster_under_test.cluster.roll_out(release=release, progress=progress).ready == 1


def test_a_first_release_that_cannot_come_up_leaves_nothing(cluster_under_test: KubernetesFixture) -> None:
    """No object and no pod remain."""
    with pytest.raises(PermanentError, match="cannot be pulled"):
        cluster_under_test.up(1, replicas=(1, 3), fate="no image")
    assert cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) is None
    assert cluster_under_test.kinds() == set()


def test_the_way_back_is_the_last_release_that_answered(cluster_under_test: KubernetesFixture) -> None:
    """Not a revision in between that failed, and whose worker died before it could undo it."""
    before = cluster_under_test.up(1)
    progress = RecordedProgress()
    progress.on_report = _raise(Superseded("Another worker has the job now."))
    with pytest.raises(Superseded):
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2, fate="starting"), progress=progress)
    wait_until(lambda: len(cluster_under_test.controllers.pods(version="v2")) == 1)
    assert cluster_under_test.now().version == 1, "what is not proven is not what runs"
    with pytest.raises(PermanentError, match="v3 does not become ready"):
        cluster_under_test.up(3, fate="crashes")
    assert cluster_under_test.now() == before
    assert cluster_under_test.controllers.pods() == cluster_under_test.controllers.pods(version="v1")


def test_a_release_that_answers_wrongly_is_undone(cluster_under_test: KubernetesFixture) -> None:
    """Ready is not enough: one real prediction is asked for."""
    before = cluster_under_test.up(1)
    cluster_under_test.pods.answers_wrongly = True
    with pytest.raises(
        PermanentError,
        match=r"v2 is up but answers incorrectly at http://fruit-staging\.cluster_under_test\.svc:8501\. ",
    ):
        cluster_under_test.up(2)
    assert cluster_under_test.now() == before


def test_a_release_without_an_image_is_refused(cluster_under_test: KubernetesFixture) -> None:
    """Before anything is asked of the cluster's objects."""
    release = cluster_under_test.release(1)
    from dataclasses import replace

    with pytest.raises(PermanentError, match="fruit v1 has no container image"):
        cluster_under_test.cluster.roll_out(
            release=replace(release, manifest=replace(release.manifest, image="")), progress=RecordedProgress()
        )
    assert cluster_under_test.kinds() == set()


@pytest.mark.parametrize("stopped", [JobCancelled("A test wished it."), ShuttingDown("The worker is shutting down.")])
def test_a_roll_out_that_is_stopped_is_undone(cluster_under_test: KubernetesFixture, stopped: Exception) -> None:
    """The version and the count before come back."""
    before = cluster_under_test.up(1)
    progress = RecordedProgress()
    progress.on_report = _raise(stopped)
    with pytest.raises(type(stopped)):
        cluster_under_test.cluster.roll_out(
            release=cluster_under_test.release(2, replicas=(3, 3), fate="starting"), progress=progress
        )
    wait_until(
        lambda: (
            cluster_under_test.now() == before
            and cluster_under_test.controllers.pods() == cluster_under_test.controllers.pods(version="v1")
        )
    )


def test_a_superseded_roll_out_is_left_to_its_successor(cluster_under_test: KubernetesFixture) -> None:
    """The attempt that lost its claim undoes nothing; the next one, in another worker, completes it under its name."""
    progress = RecordedProgress()
    progress.on_report = _raise(Superseded("Another worker has the job now."))
    with pytest.raises(Superseded):
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=progress)
    uid = cluster_under_test.store.get("Deployment", "fruit-staging")["metadata"]["uid"]
    again = KubernetesCluster(api=cluster_under_test.stand_in.api(), timing=QUICK)
    endpoint = again.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    assert (endpoint.ready, endpoint.job_id) == (1, "job-1")
    assert cluster_under_test.store.get("Deployment", "fruit-staging")["metadata"]["uid"] == uid


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "Pod"])
def test_the_last_word_is_of_the_end_though_one_watch_is_behind(
    cluster_under_test: KubernetesFixture, kind: str
) -> None:
    """The server promises no order between watches; the count that is told last is that which was waited for."""
    cluster_under_test.stand_in.behind_s[kind] = 0.5
    release = cluster_under_test.release(1, replicas=(2, 2), fate="starting")
    progress = RecordedProgress()
    progress.on_report = lambda fact: cluster_under_test.pods.fate.update({release.manifest.image: "ready"})
    cluster_under_test.cluster.roll_out(release=release, progress=progress)
    assert progress.reports[-1] == (2, 2, "2 of 2 replicas of v1 ready")


@pytest.mark.parametrize("fault", ["cut", "forget"])
def test_a_roll_out_survives_watches_that_break(cluster_under_test: KubernetesFixture, fault: str) -> None:
    """A cut connection and 410 Gone are answered by listing again."""
    release = cluster_under_test.release(1, fate="starting")
    progress = RecordedProgress()
    broken = threading.Event()

    def looks() -> int:
        return sum(
            method == "GET" and path.endswith("/cluster_under_test/deployments")
            for method, path in cluster_under_test.stand_in.asked
        )

    def break_watches(fact: str) -> None:
        if not broken.is_set():
            broken.set()
            wait_until(lambda: looks() == 2)
            cluster_under_test.stand_in.cut() if fault == "cut" else cluster_under_test.store.forget()
            cluster_under_test.pods.fate[release.manifest.image] = "ready"

    progress.on_report = break_watches
    assert cluster_under_test.cluster.roll_out(release=release, progress=progress).ready == 1
    assert looks() > 2, "a list, its watch, and a list again"


def test_a_missing_right_is_named_and_nothing_is_left_half_done(cluster_under_test: KubernetesFixture) -> None:
    """The error says who may not do what, and the rule that would allow it."""
    words = 'deployments.apps is forbidden: User "w" cannot patch resource "deployments"'
    cluster_under_test.stand_in.refused["PATCH", "deployments"] = (403, words)
    with pytest.raises(PermanentError, match="cannot patch resource") as caught:
        cluster_under_test.up(1)
    assert 'apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]' in caught.value.advice
    assert cluster_under_test.kinds() == set()


def test_an_undo_that_fails_too_is_told(cluster_under_test: KubernetesFixture) -> None:
    """Both faults are in the error."""
    cluster_under_test.up(1)
    progress = RecordedProgress()
    progress.on_report = lambda fact: cluster_under_test.stand_in.refused.update(
        {("PATCH", "deployments"): (403, "not any more")}
    )
    with pytest.raises(PermanentError, match=r"cannot be pulled.* Undoing it failed: .* not any more"):
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2, fate="no image"), progress=progress)


def test_a_server_that_fails_is_tried_again_without_an_undo(cluster_under_test: KubernetesFixture) -> None:
    """TemporaryError: what was begun stays for the next attempt."""
    cluster_under_test.stand_in.refused["PATCH", "poddisruptionbudgets"] = (503, "the server is overloaded")
    with pytest.raises(TemporaryError, match="the server is overloaded"):
        cluster_under_test.up(1)
    assert "Deployment" in cluster_under_test.kinds()
    cluster_under_test.stand_in.refused.clear()
    assert cluster_under_test.up(1).job_id == "job-1"


def test_somebody_elses_deployment_is_not_touched(cluster_under_test: KubernetesFixture) -> None:
    """The error names it, for a roll-out as for a look."""
    spec = {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}}
    cluster_under_test.store.put(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "fruit-staging", "annotations": {}},
            "spec": spec,
        }
    )
    with pytest.raises(PermanentError, match="fruit-staging in namespace cluster_under_test is not one of Seatrial's"):
        cluster_under_test.up(1)
    with pytest.raises(PermanentError, match="is not one of Seatrial's"):
        cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    cluster_under_test.cluster.remove(model="fruit", environment=STAGING)
    assert (
        cluster_under_test.store.get("Deployment", "fruit-staging")["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
        == "x"
    )


def test_somebody_elses_service_is_not_turned_to_another_endpoint(cluster_under_test: KubernetesFixture) -> None:
    """Nothing is applied: whoever it serves is served on."""
    cluster_under_test.store.put(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fruit-staging"}, "spec": {"ports": []}}
    )
    with pytest.raises(
        PermanentError, match="The Service fruit-staging in namespace cluster_under_test is not one of Seatrial's"
    ):
        cluster_under_test.up(1)
    assert cluster_under_test.kinds() == {"Service"}
    assert cluster_under_test.store.get("Service", "fruit-staging")["spec"] == {"ports": []}


def test_an_autoscaler_that_cannot_work_is_told_of_a_release_that_is_up(cluster_under_test: KubernetesFixture) -> None:
    """A cluster without a metrics server runs the release, and would never scale it."""
    cluster_under_test.up(1, replicas=(1, 3))
    failing = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}
    autoscaler = cluster_under_test.store.get("HorizontalPodAutoscaler", "fruit-staging")
    cluster_under_test.store.put(autoscaler | {"status": {"conditions": [failing]}})
    progress = RecordedProgress()
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2, replicas=(1, 3)), progress=progress)
    assert progress.lines[-1] == "The autoscaler does not scale: no metrics."


def test_an_autoscaler_that_somebody_deleted_is_missed(cluster_under_test: KubernetesFixture) -> None:
    """Bounds that nobody keeps are no bounds; setting them again brings it back."""
    bounds = Replicas(minimum=1, maximum=3)
    assert cluster_under_test.up(1, replicas=(1, 3)).trouble == ""
    cluster_under_test.api.delete("HorizontalPodAutoscaler", "fruit-staging")
    assert cluster_under_test.now().trouble.startswith("The autoscaler was deleted")
    cluster_under_test.cluster.scale(model="fruit", environment=STAGING, replicas=bounds, progress=RecordedProgress())
    assert cluster_under_test.now().trouble == ""


def test_what_is_not_deployed_cannot_be_scaled(cluster_under_test: KubernetesFixture) -> None:
    """The error names the model and the environment."""
    two = Replicas(minimum=2, maximum=2)
    with pytest.raises(PermanentError, match="fruit is not deployed on staging"):
        cluster_under_test.cluster.scale(model="fruit", environment=STAGING, replicas=two, progress=RecordedProgress())
    assert cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) is None


def test_removing_leaves_nothing(cluster_under_test: KubernetesFixture) -> None:
    """Every object and pod is gone; removing again does nothing; the name can be used anew."""
    cluster_under_test.up(1, replicas=(1, 3))
    cluster_under_test.cluster.remove(model="fruit", environment=STAGING)
    assert cluster_under_test.kinds() == set()
    cluster_under_test.cluster.remove(model="fruit", environment=STAGING)
    assert cluster_under_test.up(2).version == 2


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_the_address_is_where_the_service_leads(
    cluster_under_test: KubernetesFixture, tmp_path: Path, kind: str
) -> None:
    """It is waited for, and the prediction is asked there and not through the API server."""
    folder = copytree(SERVING, tmp_path / "serving")
    text = (folder / "service.yaml").read_text().replace("type: ClusterIP", f"type: {kind}")
    port = (
        f"port: {cluster_under_test.stand_in.port}"
        if kind == "LoadBalancer"
        else f"port: 8501, nodePort: {cluster_under_test.stand_in.port}"
    )
    (folder / "service.yaml").write_text(text.replace("port: 8501", port))
    cluster = KubernetesCluster(api=cluster_under_test.api, manifests=Manifests(folder=folder), timing=QUICK)
    release = cluster_under_test.release(1)
    endpoints: list[Endpoint] = []
    progress = RecordedProgress()
    thread = threading.Thread(
        target=lambda: endpoints.append(cluster.roll_out(release=release, progress=progress)), daemon=True
    )
    thread.start()
    if kind == "LoadBalancer":
        wait_until(
            lambda: (
                "PodDisruptionBudget" in cluster_under_test.kinds() and len(cluster_under_test.controllers.pods()) == 1
            )
        )
        service = cluster_under_test.store.get("Service", "fruit-staging")
        waiting = (0, None, "waiting for the address of the Service fruit-staging")
        wait_until(lambda: progress.reports[-1:] == [waiting])
        cluster_under_test.store.put(service | {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}})
    thread.join(60)
    assert [endpoint.address for endpoint in endpoints] == [f"http://127.0.0.1:{cluster_under_test.stand_in.port}"]
    assert ("POST", "/v1/models/fruit/versions/1:predict") in cluster_under_test.stand_in.asked


def test_the_doctor_names_the_right_that_is_missing(cluster_under_test: KubernetesFixture) -> None:
    """One finding a resource, with the command that grants it; a server that is away is one finding in all."""
    assert all(finding.ok for finding in cluster_under_test.cluster.diagnose())
    cluster_under_test.stand_in.refused["DELETE", "deployments"] = (403, "no")
    missing = [finding for finding in cluster_under_test.cluster.diagnose() if not finding.ok]
    assert [finding.what for finding in missing] == [
        "delete deployments on kubernetes://docker_environment/cluster_under_test"
    ]
    assert "create role seatrial-deployments --verb=delete --resource=deployments.apps" in missing[0].advice
    cluster_under_test.stand_in.__exit__()
    away = KubernetesCluster(api=cluster_under_test.stand_in.api()).diagnose()
    assert [finding.ok for finding in away] == [False]


def _raise(error: Exception) -> Callable[[str], None]:
    def raise_it(fact: str) -> None:
        raise error

    return raise_it
