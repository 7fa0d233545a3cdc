"""What every Cluster owes, tried under steady traffic: on processes of this machine, and on Kubernetes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platforms.adapters import STAGING, ClusterUnderTest, embedded_bay, kubernetes_bay
from tests.platforms.progress import RecordedProgress
from tests.platforms.steady_traffic import SteadyTraffic
from tests.waiting import wait_until
from workers.contract.replicas import Replicas
from workers.errors import JobCancelled, PermanentError, Superseded


@pytest.fixture(params=[embedded_bay, kubernetes_bay])
def cluster_under_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterUnderTest]:
    """A cluster; all that ran on it is gone afterwards, also when the test fails."""
    with request.param(tmp_path) as cluster_under_test:
        yield cluster_under_test


def scalings(progress: RecordedProgress) -> list[str]:
    """The lines that tell of replicas."""
    return [line for line in progress.lines if "→" in line]


def test_a_first_release_is_served_when_it_is_rolled_out(cluster_under_test: ClusterUnderTest) -> None:
    """The returned endpoint is ready, knows where it came from, and answers."""
    progress = RecordedProgress()
    endpoint = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=progress)
    assert (endpoint.version, endpoint.ready, endpoint.desired, endpoint.job_id) == (1, 1, 1, "job-1")
    assert progress.reports[-1] == (1, 1, "1 of 1 replicas of v1 ready")
    assert scalings(progress) == ["0 → 1: replicas set to 1"]
    with SteadyTraffic(cluster_under_test.reached(endpoint), model="fruit") as traffic:
        wait_until(lambda: traffic.answers["v1"] > 20)
    assert traffic.failures == []


def test_a_release_that_runs_already_changes_nothing(cluster_under_test: ClusterUnderTest) -> None:
    """A second roll-out of the same version leaves the replicas alone."""
    first = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    before = cluster_under_test.replicas()
    again = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    assert (again, cluster_under_test.replicas()) == (first, before)


def test_no_request_fails_while_versions_and_counts_change(cluster_under_test: ClusterUnderTest) -> None:
    """Up, over to another version, and down again, under clients that keep their connection and clients that don't."""
    endpoint = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    with SteadyTraffic(cluster_under_test.reached(endpoint), model="fruit", kept=6, fresh=3) as traffic:
        wait_until(lambda: traffic.answers["v1"] > 50)
        progress = RecordedProgress()
        two = Replicas(minimum=2, maximum=2)
        assert (
            cluster_under_test.cluster.scale(model="fruit", environment=STAGING, replicas=two, progress=progress).ready
            == 2
        )
        assert scalings(progress) == ["1 → 2: replicas set to 2"]

        serving: list[int] = []
        progress = RecordedProgress()
        progress.on_report = lambda fact: serving.append(len(cluster_under_test.replicas()))
        endpoint = cluster_under_test.cluster.roll_out(
            release=cluster_under_test.release(2, replicas=(2, 2)), progress=progress
        )
        assert (endpoint.version, endpoint.ready) == (2, 2)
        assert progress.reports[0][2] == "0 of 2 replicas of v2 ready"
        assert min(serving) >= 2, "old replicas left before new ones were ready"
        assert scalings(progress) == [], "two replicas became two"
        wait_until(lambda: traffic.answers["v2"] > 50)
        wait_until(lambda: not cluster_under_test.leaving())
        after_update = traffic.answers["v1"]

        one = Replicas(minimum=1, maximum=1)
        endpoint = cluster_under_test.cluster.scale(
            model="fruit", environment=STAGING, replicas=one, progress=RecordedProgress()
        )
        assert endpoint.ready == 1
        wait_until(lambda: not cluster_under_test.leaving())
        answered = traffic.answers["v2"]
        wait_until(lambda: traffic.answers["v2"] > answered + 50)
    assert traffic.failures == []
    assert traffic.answers["v1"] == after_update, "the old version answered when it was gone"
    assert traffic.answers.keys() == {"v1", "v2"}


def test_a_release_that_cannot_be_served_is_undone(cluster_under_test: ClusterUnderTest) -> None:
    """The version before serves on without a failed request, and the error holds the replica's own words."""
    endpoint = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    with SteadyTraffic(cluster_under_test.reached(endpoint), model="fruit") as traffic:
        (cluster_under_test.home / "broken").mkdir()
        with pytest.raises(PermanentError, match=r"v2 does not become ready.*signature\.json cannot be read"):
            cluster_under_test.cluster.roll_out(
                release=cluster_under_test.release(2, folder=cluster_under_test.home / "broken"),
                progress=RecordedProgress(),
            )
        answered = traffic.answers["v1"]
        wait_until(lambda: traffic.answers["v1"] > answered + 20)
    assert traffic.failures == []
    now = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert (now.version, now.ready, now.job_id, now.trouble) == (1, 1, "job-1", "")


def test_a_first_release_that_cannot_be_served_leaves_nothing(cluster_under_test: ClusterUnderTest) -> None:
    """No endpoint, and nothing of what it was made of."""
    with pytest.raises(PermanentError, match="does not become ready"):
        cluster_under_test.cluster.roll_out(
            release=cluster_under_test.release(1, folder=cluster_under_test.home / "missing"),
            progress=RecordedProgress(),
        )
    assert cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) is None
    wait_until(lambda: not cluster_under_test.left())


def test_a_cancelled_roll_out_is_undone(cluster_under_test: ClusterUnderTest) -> None:
    """The version before is back, alone, when the cancellation is passed on."""
    cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    before = cluster_under_test.replicas()
    progress = RecordedProgress()
    progress.on_report = lambda fact: progress.cancelled.set()
    with pytest.raises(JobCancelled):
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2, replicas=(3, 3)), progress=progress)
    now = cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING)
    assert now is not None
    assert (now.version, now.ready, now.desired) == (1, 1, 1)
    assert cluster_under_test.replicas() == before


def test_a_superseded_roll_out_is_left_to_its_successor(cluster_under_test: ClusterUnderTest) -> None:
    """The attempt that lost its claim undoes nothing; the next one finds the release and completes it."""
    progress = RecordedProgress()

    def lose_the_claim(fact: str) -> None:
        raise Superseded("Another worker has the job now.")

    progress.on_report = lose_the_claim
    with pytest.raises(Superseded):
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=progress)
    assert (
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress()).ready
        == 1
    )


def test_set_bounds_shows_at_once_and_the_replicas_follow(cluster_under_test: ClusterUnderTest) -> None:
    """The number of replicas changes without a further call."""
    cluster = cluster_under_test.cluster
    cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    two = Replicas(minimum=2, maximum=2)
    cluster.set_bounds(model="fruit", environment=STAGING, replicas=two)
    endpoint = cluster.endpoint(model="fruit", environment=STAGING)
    assert endpoint is not None
    assert endpoint.replicas == two
    wait_until(lambda: len(cluster_under_test.replicas()) == 2)


def test_scale_and_set_bounds_of_an_undeployed_model_are_refused(cluster_under_test: ClusterUnderTest) -> None:
    """The error names the model and the environment."""
    two = Replicas(minimum=2, maximum=2)
    with pytest.raises(PermanentError, match="fruit is not deployed on staging"):
        cluster_under_test.cluster.set_bounds(model="fruit", environment=STAGING, replicas=two)
    with pytest.raises(PermanentError, match="fruit is not deployed on staging"):
        cluster_under_test.cluster.scale(model="fruit", environment=STAGING, replicas=two, progress=RecordedProgress())
    assert cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) is None


def test_removing_leaves_nothing(cluster_under_test: ClusterUnderTest) -> None:
    """Nobody answers at the address, and nothing is kept; removing again does nothing; the name can be used anew."""
    endpoint = cluster_under_test.cluster.roll_out(release=cluster_under_test.release(1), progress=RecordedProgress())
    cluster_under_test.cluster.remove(model="fruit", environment=STAGING)
    assert not cluster_under_test.left()
    assert cluster_under_test.cluster.endpoint(model="fruit", environment=STAGING) is None
    cluster_under_test.cluster.remove(model="fruit", environment=STAGING)
    with SteadyTraffic(cluster_under_test.reached(endpoint), model="fruit", kept=1, fresh=1) as traffic:
        wait_until(lambda: len(traffic.failures) > 2)
    assert not traffic.answers
    assert (
        cluster_under_test.cluster.roll_out(release=cluster_under_test.release(2), progress=RecordedProgress()).version
        == 2
    )
