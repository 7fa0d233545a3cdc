"""Tests of the queue on a real Redis."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import dramatiq
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.passing_time import pass_time
from tests.waiting import wait_until
from workers.contract import events as e
from workers.contract.jobs import Asked, Deploy, Job, LoadTest, Trained, TrainModel
from workers.contract.load import Shape, Slo
from workers.contract.queue import Busy, Claim, Claims, Queue, QueueUnavailable, connect
from workers.contract.record import Record

DEPLOY = Deploy(model="iris", version=1, environment="staging", digest="sha256:0")
LOAD_TEST = LoadTest(
    model="iris", environment="staging", shape=Shape(lowest_rps=1, highest_rps=1), duration_s=1, slo=Slo()
)


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = connect(redis_url)
    yield Queue(client)
    client.close()


@pytest.fixture
def claims(redis_url: str) -> Iterator[Claims]:
    client = connect(redis_url)
    claims = Claims(client, worker="w1", lease_s=60.0)
    claims.heartbeat()
    yield claims
    client.close()


def make_asked() -> Asked:
    return Asked(by="U1", by_name="ada", where="C1")


def make_request(queue: Queue, *, count: int, for_s: float) -> e.ApprovalRequested:
    return e.ApprovalRequested(count=count, approvers=(), own=False, expires_at_s=queue.now_s() + for_s)


def submit(queue: Queue, key: str, job: Job) -> str:
    """Reserve and submit a job. Return its id."""
    job_id, at_s = queue.reserve(key=key, job=job, asked=make_asked())
    assert at_s is not None
    assert queue.submit(job_id)
    return job_id


def take_deliveries(queue: Queue) -> list[str]:
    """Deliver the jobs that are due, and take all deliveries from Dramatiq's list."""
    queue.deliver_due()
    delivered: list[str] = []
    while taken := queue._redis.lpop("seatrial:dramatiq:jobs"):
        message = dramatiq.Message.decode(queue._redis.hget("seatrial:dramatiq:jobs.msgs", taken))
        queue._redis.hdel("seatrial:dramatiq:jobs.msgs", taken)
        assert message.options["redis_message_id"] == taken.decode()
        delivered.append(message.args[0])
    return delivered


def run_all(queue: Queue, claims: Claims) -> list[str]:
    """Run all jobs to their end, and return them in the order of their starts."""
    ran: list[str] = []
    while delivered := take_deliveries(queue):
        for claim in filter(None, map(claims.claim, delivered)):
            ran.append(claim.record.id)
            claims.finish(claim, make_succeeded())
    return ran


def read_record(queue: Queue, job_id: str) -> Record:
    record = queue.record(job_id)
    assert record is not None
    return record


def read_state(queue: Queue, job_id: str) -> str:
    return read_record(queue, job_id).state


def claim_job(claims: Claims, job_id: str) -> Claim:
    claim = claims.claim(job_id)
    assert claim is not None
    return claim


def make_succeeded() -> e.Succeeded:
    outcome = Trained(version=1, digest="sha256:0", metrics={"accuracy": 0.97}, size_bytes=10)
    return e.Succeeded(outcome=outcome)


def test_repeated_request_is_one_job(queue: Queue) -> None:
    first, at_s = queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    assert read_record(queue, first).asked.at_s == at_s
    assert queue.reserve(key="k", job=DEPLOY, asked=make_asked()) == (first, None)


def test_request_repeated_in_many_threads_is_one_job(queue: Queue) -> None:
    found: list[tuple[str, float | None]] = []
    threads = [
        threading.Thread(target=lambda: found.append(queue.reserve(key="k", job=DEPLOY, asked=make_asked())))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job_id for job_id, _ in found}) == 1
    assert sum(at_s is not None for _, at_s in found) == 1


def test_discarded_reservation_can_be_made_again(queue: Queue) -> None:
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    assert queue.discard(job_id)
    assert queue.record(job_id) is None
    assert queue.recent() == []
    assert queue.reserve(key="k", job=DEPLOY, asked=make_asked())[1] is not None


def test_jobs_of_one_resource_run_one_at_a_time_in_order(queue: Queue, claims: Claims) -> None:
    first, second = submit(queue, "a", DEPLOY), submit(queue, "b", DEPLOY)
    assert take_deliveries(queue) == [first]
    record = read_record(queue, second)
    assert (record.state, record.waits_for) == ("waiting", first)
    assert claims.claim(second) is None
    claim = claim_job(claims, first)
    assert claims.finish(claim, make_succeeded())
    assert read_state(queue, second) == "queued"
    assert take_deliveries(queue) == [second]


def test_jobs_of_different_resources_do_not_wait(queue: Queue) -> None:
    first, second = submit(queue, "a", DEPLOY), submit(queue, "b", TrainModel(model="iris"))
    assert sorted(take_deliveries(queue)) == sorted([first, second])


def test_typed_change_goes_before_waiting_load_tests_and_behind_earlier_changes(queue: Queue, claims: Claims) -> None:
    running, second, third = (submit(queue, key, LOAD_TEST) for key in ("l1", "l2", "l3"))
    [delivered] = take_deliveries(queue)
    claim = claim_job(claims, delivered)
    scheduled, at_s = queue.reserve(key="d1", job=DEPLOY, asked=replace(make_asked(), scheduled_by="s1"))
    assert at_s is not None and queue.submit(scheduled)
    assert read_record(queue, scheduled).waits_for == third
    first, last = (submit(queue, key, DEPLOY) for key in ("d2", "d3"))
    line = [running, scheduled, first, last, second, third]
    assert [read_record(queue, job_id).waits_for for job_id in line] == [None, *line[:-1]]
    assert queue.cancel(scheduled, by="U1") == "cancelled"
    claims.finish(claim, make_succeeded())
    assert run_all(queue, claims) == [first, last, second, third]


def test_typed_change_goes_before_a_load_test_that_no_worker_has_started(queue: Queue, claims: Claims) -> None:
    """The load test has been delivered. A worker that takes the delivery is refused."""
    load, deploy = submit(queue, "l", LOAD_TEST), submit(queue, "d", DEPLOY)
    assert (read_state(queue, deploy), read_record(queue, load).waits_for) == ("queued", deploy)
    assert claims.claim(load) is None
    assert run_all(queue, claims) == [deploy, load]


def test_load_test_between_two_attempts_keeps_its_resource(queue: Queue, claims: Claims) -> None:
    load = submit(queue, "l", LOAD_TEST)
    claims.requeue(claim_job(claims, load), reason="The worker is shutting down.", after_s=0.0)
    assert read_record(queue, submit(queue, "d", DEPLOY)).waits_for == load


def test_job_behind_a_cancelled_one_waits_for_the_one_before_it(queue: Queue) -> None:
    first, middle, last = (submit(queue, key, DEPLOY) for key in "abc")
    assert queue.cancel(middle, by="U2") == "cancelled"
    record = read_record(queue, last)
    assert record.waits_for == first


def test_second_delivery_is_busy_while_the_worker_is_alive(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    take_deliveries(queue)
    claim = claim_job(claims, job_id)
    with pytest.raises(Busy):
        claims.claim(job_id)
    assert claims.append(claim, e.Logged(line="still here"))


def test_takeover_fences_the_claim_of_the_dead_worker(queue: Queue, claims: Claims, redis_url: str) -> None:
    job_id = submit(queue, "a", DEPLOY)
    take_deliveries(queue)
    old = claim_job(claims, job_id)
    claims.deregister()
    other = Claims(connect(redis_url), worker="w2", lease_s=60.0)
    other.heartbeat()
    new = take_over(other, job_id)
    assert new.attempt == 2
    record = read_record(queue, job_id)
    assert record.took_over
    assert not claims.append(old, e.Logged(line="late"))
    assert not claims.finish(old, make_succeeded())
    assert other.finish(new, make_succeeded())
    assert read_state(queue, job_id) == "succeeded"


def test_job_is_lost_after_the_last_takeover(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    assert take_deliveries(queue) == [job_id]
    claim_job(claims, job_id)
    claims.deregister()
    for _ in range(3):
        take_over(claims, job_id)
    assert claim_until_not_busy(claims, job_id) is None
    assert read_state(queue, job_id) == "lost"
    assert take_deliveries(queue) == []
    assert submit(queue, "b", DEPLOY) in take_deliveries(queue)


def test_ended_job_refuses_claims_events_and_cancellation(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    claim = claim_job(claims, job_id)
    claims.finish(claim, make_succeeded())
    before = queue.record(job_id)
    claims.defer(job_id, for_s=0.0)
    assert job_id in take_deliveries(queue)
    assert claims.claim(job_id) is None
    assert queue._redis.zcard("seatrial:outbox") == 0
    assert queue.cancel(job_id, by="U2") == "closed"
    assert not claims.append(claim, e.Logged(line="late"))
    assert queue.record(job_id) == before


def test_time_of_an_event_is_exact_and_redis_own(queue: Queue) -> None:
    before_s = queue.now_s()
    submit(queue, "a", DEPLOY)
    waiting = submit(queue, "b", DEPLOY)
    [event] = queue.events(waiting)
    assert before_s <= event.at_s <= queue.now_s()
    assert event.at_s == queue._redis.zscore("seatrial:changed", waiting)


def test_cancellation_of_a_running_job_reaches_its_claim_once(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    claim = claim_job(claims, job_id)
    assert claims.check([claim]) == {job_id: (True, None)}
    assert queue.cancel(job_id, by="U2") == "requested"
    assert queue.cancel(job_id, by="U3") == "repeated"
    assert claims.check([claim]) == {job_id: (True, "U2")}


def test_requeued_job_stays_first_in_line(queue: Queue, claims: Claims) -> None:
    first = submit(queue, "a", DEPLOY)
    second = submit(queue, "b", DEPLOY)
    take_deliveries(queue)
    claim = claim_job(claims, first)
    assert claims.requeue(claim, reason="Redis was restarted.", after_s=0.0)
    assert take_deliveries(queue) == [first]
    assert claim_job(claims, first).attempt == 2
    assert read_state(queue, second) == "waiting"


def test_requeued_job_is_not_delivered_before_it_is_due(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    take_deliveries(queue)
    claims.requeue(claim_job(claims, job_id), reason="busy", after_s=60.0)
    assert take_deliveries(queue) == []


def test_concurrent_approvals_submit_the_job_once(queue: Queue) -> None:
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    assert queue.await_approval(job_id, make_request(queue, count=2, for_s=60.0))
    decisions: list[str] = []
    threads = [
        threading.Thread(target=lambda by=f"U{n}": decisions.append(queue.approve(job_id, by=by, count=2)))
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(decisions)) == ["approved", "closed", "counted"]
    assert decisions.count("approved") == 1
    assert decisions.count("counted") == 1
    assert take_deliveries(queue) == [job_id]
    record = read_record(queue, job_id)
    assert len(record.approved_by) == 2


def test_second_approval_of_one_person_does_not_count(queue: Queue) -> None:
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    queue.await_approval(job_id, make_request(queue, count=2, for_s=60.0))
    assert queue.approve(job_id, by="U2", count=2) == "counted"
    assert queue.approve(job_id, by="U2", count=2) == "repeated"


def test_expired_request_cannot_be_approved(queue: Queue) -> None:
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    queue.await_approval(job_id, make_request(queue, count=1, for_s=60.0))
    assert queue.expire_due() == 0
    pass_time(queue._redis, 60)
    assert queue.approve(job_id, by="U2", count=1) == "closed"
    assert queue.expire_due() == 1
    assert read_state(queue, job_id) == "expired"
    assert take_deliveries(queue) == []


def test_denied_job_cannot_be_approved(queue: Queue) -> None:
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    queue.await_approval(job_id, make_request(queue, count=1, for_s=60.0))
    assert queue.deny(job_id, by="U2")
    assert not queue.deny(job_id, by="U3")
    assert queue.approve(job_id, by="U4", count=1) == "closed"
    record = read_record(queue, job_id)
    assert (record.state, record.ended_by) == ("denied", "U2")


def test_only_the_newest_progress_is_stored(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    claim = claim_job(claims, job_id)
    claims.append(claim, e.StepStarted(step="roll out"))
    before = len(queue.events(job_id))
    for done in range(50):
        claims.append(claim, e.Progressed(step="roll out", done=done, total=50, fact=""))
    record = read_record(queue, job_id)
    assert record.progress is not None
    assert record.progress.done == 49
    assert len(queue.events(job_id)) == before


def test_job_stays_dirty_until_its_newest_state_is_rendered(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    before = read_record(queue, job_id)
    claim = claim_job(claims, job_id)
    assert queue.dirty() == [job_id]
    assert not queue.mark_rendered(job_id, before.seq)
    assert queue.dirty() == [job_id]
    record = claim.record
    assert queue.mark_rendered(job_id, record.seq)
    assert queue.dirty() == []


def test_attached_file_is_stored_up_to_its_limit(queue: Queue, claims: Claims) -> None:
    claim = claim_job(claims, submit(queue, "a", DEPLOY))
    assert claims.attach(claim, name="chart.png", title="Chart", data=bytes(range(256)))
    attached = next(event for event in queue.events(claim.record.id) if isinstance(event, e.Attached))
    assert queue.file(attached.file) == bytes(range(256))
    with pytest.raises(ValueError, match="at most"):
        claims.attach(claim, name="big", title="", data=bytes(10 * 1024 * 1024 + 1))


def test_recover_delivers_queued_jobs_again(queue: Queue, claims: Claims) -> None:
    job_id = submit(queue, "a", DEPLOY)
    take_deliveries(queue)
    assert take_deliveries(queue) == []
    claims.recover()
    assert take_deliveries(queue) == [job_id]


def test_unclaimed_job_is_redelivered_after_30_s(queue: Queue, claims: Claims) -> None:
    lost, running = submit(queue, "a", DEPLOY), submit(queue, "b", TrainModel(model="iris"))
    assert sorted(take_deliveries(queue)) == sorted([lost, running])
    claim_job(claims, running)
    assert take_deliveries(queue) == []
    pass_time(queue._redis, 31)
    assert take_deliveries(queue) == [lost]


def test_job_has_one_delivery_while_all_workers_are_busy(queue: Queue) -> None:
    job_id = submit(queue, "a", DEPLOY)
    for _ in range(3):
        pass_time(queue._redis, 31)
        assert queue.deliver_due() == 1
    assert take_deliveries(queue) == [job_id]


def test_repeated_claim_is_granted_after_a_lost_reply(
    queue: Queue, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the job would run for ever on a live worker that does not know about it."""
    monkeypatch.setattr(Claims, "_leave_unreadable", lambda self, job_id: False)  # it reads before the claim
    job_id = submit(queue, "b", TrainModel(model="iris"))
    client = redis.Redis.from_url(redis_url, socket_timeout=1.0, retry=Retry(NoBackoff(), 1))
    client_claims = Claims(client, worker="w2", lease_s=60.0)
    client_claims.heartbeat()
    assert client_claims.claim("unknown") is None  # connects, and loads the script
    pid = int(queue._redis.info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(QueueUnavailable):
            client_claims.claim(job_id)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: read_state(queue, job_id) == "running")
    claim = claim_job(client_claims, job_id)
    assert claim.attempt == 1
    assert client_claims.finish(claim, make_succeeded())
    client.close()


def test_refused_write_raises_queue_unavailable(queue: Queue, claims: Claims) -> None:
    queue._redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(QueueUnavailable):
            claims.heartbeat()
        with pytest.raises(QueueUnavailable):
            queue.reserve(key="k", job=DEPLOY, asked=make_asked())
    finally:
        queue._redis.config_set("min-replicas-to-write", 0)
    claims.heartbeat()


def test_keys_of_an_ended_job_expire(queue: Queue, claims: Claims, redis_url: str) -> None:
    claim = claim_job(claims, submit(queue, "a", DEPLOY))
    claims.append(claim, e.Progressed(step="x", done=1, total=2, fact=""))
    claims.attach(claim, name="a.txt", title="a", data=b"a")
    claims.finish(claim, make_succeeded())
    take_deliveries(queue)
    client = connect(redis_url)
    endless = {key.decode() for key in client.scan_iter("seatrial:*") if client.ttl(key) == -1}
    counters = {"seatrial:last_job", "seatrial:last_delivery"}
    assert endless <= counters | {"seatrial:jobs", "seatrial:workers", "seatrial:changed"}


def take_over(claims: Claims, job_id: str) -> Claim:
    claim = claim_until_not_busy(claims, job_id)
    assert claim is not None
    return claim


def claim_until_not_busy(claims: Claims, job_id: str) -> Claim | None:
    """Claim a job after its worker has had its second for a late heartbeat."""
    with pytest.raises(Busy):
        claims.claim(job_id)
    pass_time(claims._redis, 1)
    return claims.claim(job_id)
