"""Rollouts on Kubernetes that fail or are interrupted, and their undoing."""

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("kubernetes.client", reason="needs the cloud libraries: pip install 'seatrial[cloud]'")

from tests.cloud.kubernetes_harness import QUICK, STAGING, KubernetesHarness, kubernetes_harness
from tests.platforms.progress import RecordedProgress
from tests.waiting import wait_until
from workers.errors import JobCancelled, PermanentError, ShuttingDown, Superseded, TemporaryError
from workers.platforms.cloud.endpoints.cluster import KubernetesCluster


@pytest.fixture
def harness() -> Iterator[KubernetesHarness]:
    """Yield an empty cluster."""
    with kubernetes_harness() as harness:
        yield harness


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("no image", r"v2 does not become ready\. The image registry/fruit@.* cannot be pulled: .*not found"),
        ("crashes", r"The container ended 3 times \(exit code 137, OOMKilled\)\. Its log ends: cannot load fruit"),
    ],
)
def test_failed_release_is_undone_before_any_deadline(harness: KubernetesHarness, state: str, message: str) -> None:
    """Only the previous version is left, and the error quotes the cluster."""
    before = harness.up(1, replicas=(1, 3))
    progress = RecordedProgress()
    progress.on_report = lambda fact: harness.kubelet.logs.update(
        dict.fromkeys(harness.controllers.pods(), "cannot load fruit")
    )
    with pytest.raises(PermanentError, match=message):
        harness.cluster.roll_out(release=harness.release(2, replicas=(2, 2), state=state), progress=progress)
    assert harness.now() == before
    assert harness.controllers.pods(version="v2") == []
    assert "HorizontalPodAutoscaler" in harness.kinds(), "its bounds are restored"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("no node", "The pod cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu."),
        ("quota", "exceeded quota: small, requested: pods=1."),
    ],
)
def test_temporary_trouble_is_logged_once_and_ends_up_in_the_error(
    harness: KubernetesHarness, state: str, message: str
) -> None:
    """The error is raised at the Deployment's deadline."""
    harness.up(1)
    progress = RecordedProgress()

    def let_the_deadline_pass(fact: str) -> None:
        if message in fact:
            harness.controllers.deadline_passed = True

    progress.on_report = let_the_deadline_pass
    with pytest.raises(PermanentError) as caught:
        harness.cluster.roll_out(release=harness.release(2, state=state), progress=progress)
    assert message in str(caught.value)
    assert len([line for line in progress.lines if message in line]) == 1
    assert harness.now().version == 1


def test_failed_first_release_leaves_no_object(harness: KubernetesHarness) -> None:
    with pytest.raises(PermanentError, match="cannot be pulled"):
        harness.up(1, replicas=(1, 3), state="no image")
    assert harness.cluster.endpoint(model="fruit", environment=STAGING) is None
    assert harness.kinds() == set()


def test_rollback_restores_the_last_verified_release(harness: KubernetesHarness) -> None:
    """It skips a failed revision that a dead worker could not undo."""
    before = harness.up(1)
    progress = RecordedProgress()
    progress.on_report = _raise(Superseded("Another worker has the job now."))
    with pytest.raises(Superseded):
        harness.cluster.roll_out(release=harness.release(2, state="starting"), progress=progress)
    wait_until(lambda: len(harness.controllers.pods(version="v2")) == 1)
    assert harness.now().version == 1, "an unverified release does not run yet"
    with pytest.raises(PermanentError, match="v3 does not become ready"):
        harness.up(3, state="crashes")
    assert harness.now() == before
    assert harness.controllers.pods() == harness.controllers.pods(version="v1")


def test_release_that_answers_incorrectly_is_undone(harness: KubernetesHarness) -> None:
    """Being ready is not enough: one real prediction is requested."""
    before = harness.up(1)
    harness.kubelet.answers_incorrectly = True
    with pytest.raises(
        PermanentError, match=r"v2 is up but answers incorrectly at http://fruit-staging\.test\.svc:8501\. "
    ):
        harness.up(2)
    assert harness.now() == before


@pytest.mark.parametrize(
    "stopped", [JobCancelled("Cancelled by the test."), ShuttingDown("The worker is shutting down.")]
)
def test_interrupted_rollout_is_undone(harness: KubernetesHarness, stopped: Exception) -> None:
    """The previous version and number of replicas are restored."""
    before = harness.up(1)
    progress = RecordedProgress()
    progress.on_report = _raise(stopped)
    with pytest.raises(type(stopped)):
        harness.cluster.roll_out(release=harness.release(2, replicas=(3, 3), state="starting"), progress=progress)
    wait_until(lambda: harness.now() == before and harness.controllers.pods() == harness.controllers.pods(version="v1"))


def test_superseded_rollout_is_completed_by_the_next_attempt(harness: KubernetesHarness) -> None:
    """The attempt that lost its claim undoes no step; the next one completes the same Deployment."""
    progress = RecordedProgress()
    progress.on_report = _raise(Superseded("Another worker has the job now."))
    with pytest.raises(Superseded):
        harness.cluster.roll_out(release=harness.release(1), progress=progress)
    uid = harness.store.get("Deployment", "fruit-staging")["metadata"]["uid"]
    again = KubernetesCluster(api=harness.stand_in.api(), timing=QUICK)
    endpoint = again.roll_out(release=harness.release(1), progress=RecordedProgress())
    assert (endpoint.ready, endpoint.job_id) == (1, "job-1")
    assert harness.store.get("Deployment", "fruit-staging")["metadata"]["uid"] == uid


def test_missing_right_is_named_and_no_object_is_left(harness: KubernetesHarness) -> None:
    """The error contains the RBAC rule that grants it."""
    words = 'deployments.apps is forbidden: User "w" cannot patch resource "deployments"'
    harness.stand_in.refused["PATCH", "deployments"] = (403, words)
    with pytest.raises(PermanentError, match="cannot patch resource") as caught:
        harness.up(1)
    assert 'apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]' in caught.value.advice
    assert harness.kinds() == set()


def test_failed_undo_is_named_in_the_error(harness: KubernetesHarness) -> None:
    """Next to the first failure."""
    harness.up(1)
    progress = RecordedProgress()
    progress.on_report = lambda fact: harness.stand_in.refused.update({("PATCH", "deployments"): (403, "revoked")})
    with pytest.raises(PermanentError, match=r"cannot be pulled.* Undoing it failed: .* revoked"):
        harness.cluster.roll_out(release=harness.release(2, state="no image"), progress=progress)


def test_temporary_error_keeps_the_objects_for_the_next_attempt(harness: KubernetesHarness) -> None:
    harness.stand_in.refused["PATCH", "poddisruptionbudgets"] = (503, "the server is overloaded")
    with pytest.raises(TemporaryError, match="the server is overloaded"):
        harness.up(1)
    assert "Deployment" in harness.kinds()
    harness.stand_in.refused.clear()
    assert harness.up(1).job_id == "job-1"


def _raise(error: Exception) -> Callable[[str], None]:
    def raise_it(fact: str) -> None:
        raise error

    return raise_it
