"""Revisions of a Deployment: the newest one, the one to roll back to, and the template of each."""

import pytest

from tests.cloud.kubernetes_objects import deployment, replica_set
from workers.platforms.cloud.endpoints.revisions import is_verified, newest_replica_set, pod_template, rollback_revision

REVISIONS = [
    replica_set("d-1", "4", release="A"),
    replica_set("d-2", "2", release="B"),
    replica_set("d-3", "3", release="C"),
]


@pytest.mark.parametrize(
    ("verified", "name"), [("A", "d-1"), ("B", "d-2"), ("C", "d-3"), ("", None), ("forgotten", None)]
)
def test_rollback_returns_the_release_that_was_verified_last(verified: str, name: str | None) -> None:
    """The revision numbers do not matter. Without a verified release that is still kept, there is no way back."""
    found = rollback_revision(
        deployment(annotations={"seatrial/proven": verified, "seatrial/template": "D"}), REVISIONS
    )
    assert (found and found["metadata"]["name"]) == name


def test_rollback_prefers_the_newer_revision_of_the_same_release() -> None:
    """Revisions of other Deployments are ignored."""
    own = [replica_set("d-1", "1", release="A"), replica_set("d-10", "10", release="A")]
    others = [replica_set("d-11", "11", release="A", owner="other")]
    found = rollback_revision(deployment(annotations={"seatrial/proven": "A"}), own + others)
    assert found is not None
    assert found["metadata"]["name"] == "d-10"


def test_release_is_verified_only_if_its_hash_is_recorded() -> None:
    assert is_verified(deployment(annotations={"seatrial/proven": "A", "seatrial/template": "A"}))
    assert not is_verified(deployment(annotations={"seatrial/proven": "A", "seatrial/template": "B"}))
    assert not is_verified(deployment())


def test_pod_template_omits_the_additions_of_the_controller() -> None:
    """The server then recognizes the template and uses its ReplicaSet again."""
    assert pod_template(REVISIONS[0])["metadata"] == {"labels": {"a": "b"}, "annotations": {}}


def test_no_revision_is_the_newest_before_the_controller_sees_the_change() -> None:
    """Until then the running pods belong to the previous release."""
    assert newest_replica_set(deployment(generation=3), REVISIONS) is None
    assert newest_replica_set(deployment(annotations={"seatrial/template": "A"}), REVISIONS) is REVISIONS[0]
