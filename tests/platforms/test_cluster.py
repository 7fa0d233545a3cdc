"""Contract suite of the Protocol Cluster under steady traffic: processes of this machine, and Kubernetes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platforms.adapters import STAGING, ClusterUnderTest, embedded_cluster, kubernetes_cluster
from tests.platforms.progress import RecordedProgress
from tests.platforms.steady_traffic import SteadyTraffic
from tests.waiting import wait_until
from workers.contract.replicas import Replicas
from workers.errors import JobCancelled, PermanentError, Superseded


@pytest.fixture(params=[embedded_cluster, kubernetes_cluster])
def under_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterUnderTest]:
    """Yield a cluster and end all that runs on it, even if the test fails."""
    with request.param(tmp_path) as under_test:
        yield under_test


def scalings(progress: RecordedProgress) -> list[str]:
    """Return the lines about replicas."""
    return [line for line in progress.lines if "→" in line]


def test_first_release_is_served_after_the_rollout(under_test: ClusterUnderTest) -> None:
    """The endpoint is ready, names its job and answers."""
    progress = RecordedProgress()
    endpoint = under_test.cluster.roll_out(release=under_test.release(1), progress=progress)
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.job_id) == (1, 1, 1, "job-1")
    assert progress.reports[-1] == (1, 1, "1 of 1 replicas of v1 ready")
    assert scalings(progress) == ["0 → 1: replicas set to 1"]
    with SteadyTraffic(under_test.local_url(endpoint), model="fruit") as traffic:
        wait_until(lambda: traffic.answers["v1"] > 20)
    assert traffic.failures == []


def test_rollout_of_the_running_release_keeps_the_replicas(under_test: ClusterUnderTest) -> None:
    first = under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    before = under_test.replicas()
    again = under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    assert (again, under_test.replicas()) == (first, before)


def test_no_request_fails_while_versions_and_replicas_change(under_test: ClusterUnderTest) -> None:
    """Scaling up, a new version, and scaling down, with kept and fresh connections."""
    endpoint = under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    with SteadyTraffic(under_test.local_url(endpoint), model="fruit", persistent=6, reconnecting=3) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 50)
        progress = RecordedProgress()
        two = Replicas(minimum=2, maximum=2)
        assert under_test.cluster.scale(model="fruit", environment=STAGING, replicas=two, progress=progress).ready == 2
        assert scalings(progress) == ["1 → 2: replicas set to 2"]

        serving: list[int] = []
        progress = RecordedProgress()
        progress.on_report = lambda fact: serving.append(len(under_test.replicas()))
        endpoint = under_test.cluster.roll_out(release=under_test.release(2, replicas=(2, 2)), progress=progress)
        assert (endpoint.version, endpoint.ready) == (2, 2)
        assert progress.reports[0][2] == "0 of 2 replicas of v2 ready"
        assert min(serving) >= 2, "old replicas ended before new ones were ready"
        assert scalings(progress) == [], "two replicas became two"
        wait_until(lambda: traffic.answers["v2"] > 50)
        wait_until(lambda: not under_test.leaving())
        after_update = traffic.answers["v1"]

        one = Replicas(minimum=1, maximum=1)
        endpoint = under_test.cluster.scale(
            model="fruit", environment=STAGING, replicas=one, progress=RecordedProgress()
        )
        assert endpoint.ready == 1
        wait_until(lambda: not under_test.leaving())
        answered = traffic.answers["v2"]
        wait_until(lambda: traffic.answers["v2"] > answered + 50)
    assert traffic.failures == []
    assert traffic.answers["v1"] == after_update, "the old version answered after it was replaced"
    assert traffic.answers.keys() == {"v1", "v2"}


def test_failed_release_is_undone_without_a_failed_request(under_test: ClusterUnderTest) -> None:
    """The error quotes the replica."""
    endpoint = under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    with SteadyTraffic(under_test.local_url(endpoint), model="fruit") as traffic:
        (under_test.home / "broken").mkdir()
        with pytest.raises(PermanentError, match=r"v2 does not become ready.*signature\.json cannot be read"):
            under_test.cluster.roll_out(
                release=under_test.release(2, folder=under_test.home / "broken"), progress=RecordedProgress()
            )
        answered = traffic.answers["v1"]
        wait_until(lambda: traffic.answers["v1"] > answered + 20)
    assert traffic.failures == []
    now = under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert (now.version, now.ready, now.job_id, now.trouble) == (1, 1, "job-1", "")


def test_failed_first_release_leaves_no_remains(under_test: ClusterUnderTest) -> None:
    with pytest.raises(PermanentError, match="does not become ready"):
        under_test.cluster.roll_out(
            release=under_test.release(1, folder=under_test.home / "missing"), progress=RecordedProgress()
        )
    assert under_test.cluster.endpoint(model="fruit", environment=STAGING) is None
    wait_until(lambda: not under_test.remains())


def test_cancelled_rollout_is_undone(under_test: ClusterUnderTest) -> None:
    """The previous version runs alone before the cancellation is raised."""
    under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    before = under_test.replicas()
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set()
    with pytest.raises(JobCancelled):
        under_test.cluster.roll_out(release=under_test.release(2, replicas=(3, 3)), progress=progress)
    now = under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert (now.version, now.ready, now.desired) == (1, 1, 1)
    assert under_test.replicas() == before


def test_superseded_rollout_is_completed_by_the_next_attempt(under_test: ClusterUnderTest) -> None:
    """The attempt that lost its claim undoes no step."""
    progress = RecordedProgress()

    def lose_the_claim(fact: str) -> None:
        raise Superseded("Another worker has the job now.")

    progress.on_report = lose_the_claim
    with pytest.raises(Superseded):
        under_test.cluster.roll_out(release=under_test.release(1), progress=progress)
    assert under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress()).ready == 1


def test_set_bounds_shows_at_once_and_the_replicas_follow(under_test: ClusterUnderTest) -> None:
    """The number of replicas changes without a further call."""
    cluster = under_test.cluster
    cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    two = Replicas(minimum=2, maximum=2)
    cluster.set_bounds(model="fruit", environment=STAGING, replicas=two)
    endpoint = cluster.endpoint(model="fruit", environment=STAGING)
    assert endpoint is not None
    assert endpoint.replicas == two
    wait_until(lambda: len(under_test.replicas()) == 2)


def test_scale_and_set_bounds_of_an_undeployed_model_are_refused(under_test: ClusterUnderTest) -> None:
    """The error names the model and the environment."""
    two = Replicas(minimum=2, maximum=2)
    with pytest.raises(PermanentError, match="fruit is not deployed on staging"):
        under_test.cluster.set_bounds(model="fruit", environment=STAGING, replicas=two)
    with pytest.raises(PermanentError, match="fruit is not deployed on staging"):
        under_test.cluster.scale(model="fruit", environment=STAGING, replicas=two, progress=RecordedProgress())
    assert under_test.cluster.endpoint(model="fruit", environment=STAGING) is None


def test_remove_ends_the_endpoint_and_may_be_repeated(under_test: ClusterUnderTest) -> None:
    """The address no longer answers, no remains are left, and the name can be used again."""
    endpoint = under_test.cluster.roll_out(release=under_test.release(1), progress=RecordedProgress())
    under_test.cluster.remove(model="fruit", environment=STAGING)
    assert not under_test.remains()
    assert under_test.cluster.endpoint(model="fruit", environment=STAGING) is None
    under_test.cluster.remove(model="fruit", environment=STAGING)
    with SteadyTraffic(under_test.local_url(endpoint), model="fruit", persistent=1, reconnecting=1) as traffic:
        wait_until(lambda: len(traffic.failures) > 2)
    assert not traffic.answers
    assert under_test.cluster.roll_out(release=under_test.release(2), progress=RecordedProgress()).version == 2
