"""The whole loop on the cloud adapters, typed and clicked in the local Slack. Each test builds on those before it."""

import json
from collections.abc import Iterator

import pytest
import redis

from bot.local_slack.person import Person, SharedFile, VisibleMessage
from tests.cloud.cloud_stack import LABEL, CloudStack, cloud_stack
from tests.cloud.worker_role import beyond_the_role
from tests.stack import WAIT_S, ask, ephemeral, until
from tests.waiting import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def cloud(redis_server: str, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStack]:
    """Yield one stack for all tests here."""
    client = redis.Redis.from_url(redis_server)
    client.flushall()
    client.close()
    with cloud_stack(redis_url=redis_server, folder=tmp_path_factory.mktemp("cloud"), environ=environ) as opened:
        yield opened


@pytest.fixture
def ada(cloud: CloudStack) -> Person:
    """Return the person who types."""
    return cloud.stack.person("Ada")


def ended(person: Person, card: VisibleMessage) -> VisibleMessage:
    """Return the card once its job has ended."""
    return until(person, card, "· took")


def attached(person: Person, card: VisibleMessage, name: str) -> SharedFile:
    """Return the file of this name in the card's thread once it exists."""

    def look() -> SharedFile | None:
        return next((file for reply in person.thread(card) for file in reply.files if file.name == name), None)

    return person.wait_for(look, WAIT_S)


def in_thread(person: Person, card: VisibleMessage, words: str) -> None:
    """Wait until the card's thread contains `words`."""
    person.wait_for(lambda: any(words in reply.plain for reply in person.thread(card)), WAIT_S)


def images(cloud: CloudStack) -> list[str]:
    """Return the images of the containers on the cluster's node, without those of another run of the tests."""
    found = cloud.docker_environment.engine.containers(filters={"label": LABEL})
    address = cloud.docker_environment.registry.address
    return [item["Image"] for item in found if item["Image"].startswith(address)]


def test_version_is_trained_built_and_pushed(cloud: CloudStack, ada: Person) -> None:
    card = ended(ada, ask(ada, "/model train iris"))
    assert "· done" in card.plain
    assert "150 rows, 3 iterations, final loss 0.1" in card.plain
    assert "XGBOOST_BOOSTER" in card.plain
    assert "versicolor" in card.plain
    assert (
        f"{cloud.docker_environment.settings.repository}/iris@{cloud.docker_environment.registry.digest('iris', 'v1')}"
        in card.plain
    )
    for words in ("Created dataset demo-project.sales", "Dry run: 4.9 kB", "expected setosa: 50", "Successfully built"):
        in_thread(ada, card, words)
    assert "v1" in ephemeral(ada, "/model show iris")


def test_version_is_deployed_by_its_digest(cloud: CloudStack, ada: Person) -> None:
    """A container of the pushed image runs on the cluster and has answered a real request."""
    card = ended(ada, ask(ada, "/deploy v1 iris to staging"))
    assert "v1 is live" in card.plain.replace("*", "")
    assert "iris-staging.test.svc:8501" in card.plain
    in_thread(ada, card, "answers: versicolor")
    (image,) = images(cloud)
    assert image.endswith(f"/iris@{cloud.docker_environment.registry.digest('iris', 'v1')}")


def test_production_waits_for_an_approval(cloud: CloudStack, ada: Person) -> None:
    card = ask(ada, "/deploy v1 iris to production")
    assert "waits for approval" in card.plain
    assert len(images(cloud)) == 1
    grace = cloud.stack.person("Grace")
    grace.click_button(card, "Approve")
    assert f"approved by <@{grace.id}>" in ended(ada, card).plain
    assert len(images(cloud)) == 2
    assert len(set(images(cloud))) == 1


def test_load_test_on_the_cluster_reports_every_request(cloud: CloudStack, ada: Person) -> None:
    """Locust runs as pods. A replica that the autoscaler adds is reported."""
    card = ask(ada, "/loadtest 30rps for 20s iris on staging")
    until(ada, card, "Latency")
    cloud.controllers.autoscale("iris-staging", to=2, cpu_percent=150)
    done = ended(ada, card)
    assert any(verdict in done.plain for verdict in ("· PASS", "· FAIL", "· INVALID"))
    assert "0 failed" in done.plain
    report = json.loads(ada.download(attached(ada, card, "report.json")))
    assert report["result"]["requests"] == 600
    assert [item["ready"] for item in report["replicas"]] == [1, 2]
    assert not cloud.cluster.store.list("ConfigMap")


def test_fixed_replicas_remove_the_autoscaler(cloud: CloudStack, ada: Person) -> None:
    assert "3 replicas" in ended(ada, ask(ada, "/scale 3 iris on staging")).plain
    assert len(images(cloud)) == 4
    assert [item["metadata"]["name"] for item in cloud.cluster.store.list("HorizontalPodAutoscaler")] == []


def test_rollout_with_an_unpullable_image_is_undone(cloud: CloudStack, ada: Person) -> None:
    """The card has the registry's reason, and the version before serves on."""
    assert "v2" in ended(ada, ask(ada, "/model train iris")).plain
    cloud.credentials["password"] = "wrong"
    card = ended(ada, ask(ada, "/deploy v2 iris to staging"))
    assert "· failed" in card.plain
    assert "v2 does not become ready. The image" in card.plain
    assert "unauthorized" in card.plain
    assert "v1" in ephemeral(ada, "/deploy status")
    cloud.credentials["password"] = "hornblower"
    wait_until(lambda: len(set(images(cloud))) == 1)


def test_next_version_replaces_all_replicas_and_is_rolled_back(cloud: CloudStack, ada: Person) -> None:
    card = ended(ada, ask(ada, "/deploy v2 iris to staging"))
    assert "in place of v1" in card.plain
    before = {one.ts for one in ada.messages()}
    ada.click_button(card, "Roll back to v1")
    back = ada.wait_for(lambda: next((one for one in ada.messages() if one.ts not in before), None), WAIT_S)
    assert "v1 is live" in ended(ada, back).plain.replace("*", "")
    wait_until(lambda: len(images(cloud)) == 4 and len(set(images(cloud))) == 1)


def test_query_above_the_byte_limit_is_refused_before_a_job(cloud: CloudStack, ada: Person) -> None:
    before = len(cloud.bigquery.jobs)
    card = ended(ada, ask(ada, "/model train greedy"))
    assert "models.greedy.max_bytes: the query would read 4.9 kB, above the limit of 1.0 kB." in card.plain
    assert len(cloud.bigquery.jobs) == before


def test_model_that_does_not_load_is_not_published(cloud: CloudStack, ada: Person) -> None:
    """The card shows the last lines of the container's log."""
    card = ended(ada, ask(ada, "/model train damaged"))
    assert "its container ended with 1. Its log: " in card.plain
    assert "model.bst" in card.plain
    assert cloud.docker_environment.registry.digest("damaged", "v1") is None
    assert "no version" in ephemeral(ada, "/model show damaged")


def test_cancel_button_cancels_the_bigquery_job(cloud: CloudStack, ada: Person) -> None:
    cloud.bigquery.endless = True
    card = until(ada, ask(ada, "/model train iris"), "iteration")
    ada.click_button(card, "Cancel")
    assert f"cancelled by <@{ada.id}>" in until(ada, card, "cancelled by").plain
    cloud.bigquery.endless = False
    training = cloud.bigquery.submitted("CREATE")[-1]["jobReference"]["jobId"]
    assert cloud.bigquery.jobs[training]["status"]["errorResult"]["reason"] == "stopped"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("/jobs", "deploy iris v2 to staging"),
        ("/deploy history staging", "deploy iris v1 to staging"),
        ("/deploy status", "production"),
        ("/loadtest last staging", "Load test iris"),
        ("/model compare v1 v2 iris", "accuracy"),
    ],
)
def test_history_and_status_are_answered_to_the_asker(ada: Person, typed: str, shown: str) -> None:
    assert shown in ephemeral(ada, typed)


def test_requests_need_only_the_granted_permissions(cloud: CloudStack) -> None:
    """The Role in k8s/environment allows every request, and every manifest was valid."""
    assert not beyond_the_role(cloud.cluster.rights)
    assert not cloud.cluster.mistakes
    assert "Seatrial itself failed" not in cloud.stack.logs()
