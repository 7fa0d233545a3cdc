"""Comparison for approvers: what an endpoint serves, and what a job would make of it."""

from dataclasses import replace

from bot.cards.card import render
from bot.cards.comparison import compare
from bot.lookup import published
from workers.contract import events as e
from workers.contract.catalogue import Served
from workers.contract.jobs import Asked, Deploy, Scale
from workers.contract.record import Record, fold
from workers.contract.replicas import Replicas

FOUR = Replicas(minimum=1, maximum=4)
FIRST = replace(published("iris", 1), digest="sha256:" + "a" * 64, metrics={"accuracy": 0.95, "roc_auc": 0.9})
SECOND = replace(FIRST, version=2, metrics={"accuracy": 0.97, "log_loss": 0.1})
SERVED = Served(
    model="iris",
    environment="production",
    version=1,
    address="http://127.0.0.1:1",
    ready=2,
    replicas=FOUR,
    since_s=1_790_000_000.0,
    job_id="7",
)
DEPLOY = Deploy(model="iris", version=2, environment="production", digest="sha256:b")


def test_deployment_is_compared_with_the_version_that_runs() -> None:
    """The version, its content, replicas and time, and the difference of each metric."""
    text = compare(DEPLOY, [SERVED], [FIRST, SECOND])
    assert "Runs now: v1, content `sha256:aaaaaaaaaaaa`, on 2 ready (bounds 1..4), since <!date^1790000000" in text
    assert "job #7" in text
    assert "accuracy 0.9500 → 0.9700 (+0.0200) · log_loss unknown → 0.1000 · roc_auc 0.9000 → unknown" in text


def test_equal_metric_is_shown_once() -> None:
    same = replace(FIRST, version=2)
    assert "accuracy 0.9500 (same) · roc_auc 0.9000 (same)" in compare(DEPLOY, [SERVED], [FIRST, same])


def test_first_deployment_and_unknown_versions_say_so() -> None:
    assert compare(DEPLOY, [], [FIRST, SECOND]) == "Runs now: no version of iris."
    assert "one of the two versions is not in the model store" in compare(DEPLOY, [SERVED], [SECOND])
    assert "none are known" in compare(DEPLOY, [SERVED], [replace(FIRST, metrics={}), replace(SECOND, metrics={})])


def test_scaling_is_compared_without_metrics() -> None:
    text = compare(Scale(model="iris", environment="production", replicas=FOUR), [SERVED], [FIRST])
    assert text.startswith("Runs now: v1") and "Metrics" not in text


def test_comparison_is_on_the_card_that_asks_for_approval() -> None:
    record = Record(id="9", job=DEPLOY, asked=Asked(by="U1", by_name="Ada", where="C1"))
    request = e.ApprovalRequested(count=1, approvers=(), own=False, expires_at_s=1_790_000_000.0)
    change = compare(DEPLOY, [SERVED], [FIRST, SECOND])
    assert change in str(render(fold(record, [request]), change=change).blocks[1]["text"]["text"])
