"""The queue on a real Redis: reserve, line up, claim, fence, hand over, cancel, approve."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import dramatiq
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.waiting import wait_until
from workers.contract import events as e
from workers.contract.jobs import Asked, Deploy, Job, Trained, TrainModel
from workers.contract.queue import Busy, Claim, Claims, Queue, QueueUnavailable, connect, scripts

DEPLOY = Deploy(model="iris", version=1, environment="staging", digest="sha256:0")


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    """The asking side."""
    client = connect(redis_url)
    yield Queue(client)
    client.close()


@pytest.fixture
def claims(redis_url: str) -> Iterator[Claims]:
    """A worker that is alive."""
    client = connect(redis_url)
    working = Claims(client, worker="w1", lease_s=60.0)
    working.heartbeat()
    yield working
    client.close()


def asked(by: str = "U1") -> Asked:
    """A request by someone."""
    return Asked(by=by, by_name="ada", where="C1", at_s=time.time())


def submitted(queue: Queue, key: str, job: Job) -> str:
    """The id of a job that was reserved and submitted."""
    job_id, new = queue.reserve(key=key, job=job, asked=asked())
    assert new
    assert queue.submit(job_id)
    return job_id


def due(queue: Queue) -> list[str]:
    """The jobs that are delivered to a worker now, each taken from Dramatiq's list."""
    queue.deliver_due()
    delivered: list[str] = []
    while taken := queue._redis.lpop("seatrial:dramatiq:jobs"):
        message = dramatiq.Message.decode(queue._redis.hget("seatrial:dramatiq:jobs.msgs", taken))
        queue._redis.hdel("seatrial:dramatiq:jobs.msgs", taken)
        assert message.options["redis_message_id"] == taken.decode()
        delivered.append(message.args[0])
    return delivered


def state(queue: Queue, job_id: str) -> str:
    """The job's state by its record."""
    record = queue.record(job_id)
    assert record is not None
    return record.state


def claimed(claims: Claims, job_id: str) -> Claim:
    """A claim that is held."""
    claim = claims.claim(job_id)
    assert claim is not None
    return claim


def succeeded() -> e.Succeeded:
    """An end."""
    outcome = Trained(version=1, digest="sha256:0", metrics={"accuracy": 0.97}, size_bytes=10)
    return e.Succeeded(at_s=time.time(), outcome=outcome)


def test_a_request_made_twice_is_one_job(queue: Queue) -> None:
    """The second reservation under one key answers with the first one's id."""
    first, new = queue.reserve(key="k", job=DEPLOY, asked=asked())
    assert new
    assert queue.reserve(key="k", job=DEPLOY, asked=asked()) == (first, False)


def test_a_request_made_in_many_threads_at_once_is_one_job(queue: Queue) -> None:
    """However many reserve at the same instant, one of them is told that it is new."""
    found: list[tuple[str, bool]] = []
    threads = [
        threading.Thread(target=lambda: found.append(queue.reserve(key="k", job=DEPLOY, asked=asked())))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job_id for job_id, _ in found}) == 1
    assert sum(new for _, new in found) == 1


def test_a_discarded_reservation_leaves_nothing(queue: Queue) -> None:
    """Its request may be made again, and it is in no list."""
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=asked())
    assert queue.discard(job_id)
    assert queue.record(job_id) is None
    assert queue.recent() == []
    assert queue.reserve(key="k", job=DEPLOY, asked=asked())[1]


def test_jobs_of_one_target_run_one_at_a_time_in_their_order(queue: Queue, claims: Claims) -> None:
    """The second waits, says for whom, is not sent, cannot be claimed, and comes when the first has ended."""
    first, second = submitted(queue, "a", DEPLOY), submitted(queue, "b", DEPLOY)
    assert due(queue) == [first]
    record = queue.record(second)
    assert record is not None
    assert (record.state, record.waits_for) == ("waiting", first)
    assert claims.claim(second) is None
    claim = claimed(claims, first)
    assert claims.finish(claim, succeeded())
    assert state(queue, second) == "queued"
    assert due(queue) == [second]


def test_jobs_of_different_targets_do_not_wait(queue: Queue) -> None:
    """Only the same target is one at a time."""
    first, second = submitted(queue, "a", DEPLOY), submitted(queue, "b", TrainModel(model="iris"))
    assert sorted(due(queue)) == sorted([first, second])


def test_who_waited_behind_a_cancelled_job_waits_for_the_one_before_it(queue: Queue) -> None:
    """Cancelling in the middle of a line closes it up."""
    first, middle, last = (submitted(queue, key, DEPLOY) for key in "abc")
    assert queue.cancel(middle, by="U2") == "cancelled"
    record = queue.record(last)
    assert record is not None
    assert record.waits_for == first


def test_a_claim_is_refused_to_a_second_delivery_while_its_worker_lives(queue: Queue, claims: Claims) -> None:
    """The job goes on, and is looked at again later."""
    job_id = submitted(queue, "a", DEPLOY)
    due(queue)
    claim = claimed(claims, job_id)
    with pytest.raises(Busy):
        claims.claim(job_id)
    assert claims.append(claim, e.Logged(at_s=time.time(), line="still here"))


def test_a_dead_workers_job_is_taken_over_and_its_old_claim_writes_nothing(
    queue: Queue, claims: Claims, redis_url: str
) -> None:
    """The new attempt says that it took over; the old one's every write is refused."""
    job_id = submitted(queue, "a", DEPLOY)
    due(queue)
    old = claimed(claims, job_id)
    claims.deregister()
    other = Claims(connect(redis_url), worker="w2", lease_s=60.0)
    other.heartbeat()
    new = _taken_over(other, job_id)
    assert new.attempt == 2
    record = queue.record(job_id)
    assert record is not None
    assert record.took_over
    assert not claims.append(old, e.Logged(at_s=time.time(), line="a ghost"))
    assert not claims.finish(old, succeeded())
    assert other.finish(new, succeeded())
    assert state(queue, job_id) == "succeeded"


def test_a_job_that_takes_every_worker_down_is_given_up(queue: Queue, claims: Claims) -> None:
    """After the last takeover it is lost, and its target is free."""
    job_id = submitted(queue, "a", DEPLOY)
    assert due(queue) == [job_id]
    claimed(claims, job_id)
    claims.deregister()
    for _ in range(3):
        _taken_over(claims, job_id)
    assert _until_not_busy(claims, job_id) is None
    assert state(queue, job_id) == "lost"
    assert due(queue) == []
    assert submitted(queue, "b", DEPLOY) in due(queue)


def test_a_finished_job_is_not_begun_again_and_never_changes(queue: Queue, claims: Claims) -> None:
    """A late delivery is refused, a late cancel is told that it is late."""
    job_id = submitted(queue, "a", DEPLOY)
    claim = claimed(claims, job_id)
    claims.finish(claim, succeeded())
    before = queue.record(job_id)
    claims.defer(job_id, for_s=0.0)
    assert job_id in due(queue)
    assert claims.claim(job_id) is None
    assert queue._redis.zcard("seatrial:outbox") == 0
    assert queue.cancel(job_id, by="U2") == "closed"
    assert not claims.append(claim, e.Logged(at_s=time.time(), line="late"))
    assert queue.record(job_id) == before


@pytest.mark.parametrize("now_s", [1764541194.1234567, 1764541194.0])
def test_event_from_a_script_keeps_the_exact_time(queue: Queue, now_s: float) -> None:
    first, second = (queue.reserve(key=key, job=DEPLOY, asked=asked())[0] for key in "ab")
    for job_id in (first, second):
        queue._run(scripts.SUBMIT, job_id, now_s)
    assert queue.events(first) == [e.Queued(at_s=now_s)]
    assert queue.events(second) == [e.Waiting(at_s=now_s, behind=first)]


def test_a_running_job_is_told_to_stop_and_says_who_wished_it(queue: Queue, claims: Claims) -> None:
    """The wish is in the claim's standing; a second wish changes nothing."""
    job_id = submitted(queue, "a", DEPLOY)
    claim = claimed(claims, job_id)
    assert claims.check([claim]) == {job_id: (True, None)}
    assert queue.cancel(job_id, by="U2") == "requested"
    assert queue.cancel(job_id, by="U3") == "repeated"
    assert claims.check([claim]) == {job_id: (True, "U2")}


def test_a_job_that_was_handed_back_keeps_its_place(queue: Queue, claims: Claims) -> None:
    """It is due again after the time that was asked for, before those behind it."""
    first = submitted(queue, "a", DEPLOY)
    second = submitted(queue, "b", DEPLOY)
    due(queue)
    claim = claimed(claims, first)
    assert claims.requeue(claim, reason="Redis was restarted.", after_s=0.0)
    assert due(queue) == [first]
    assert claimed(claims, first).attempt == 2
    assert state(queue, second) == "waiting"


def test_a_job_put_off_is_not_sent_before_its_time(queue: Queue, claims: Claims) -> None:
    """The outbox holds it until it is due."""
    job_id = submitted(queue, "a", DEPLOY)
    due(queue)
    claims.requeue(claimed(claims, job_id), reason="busy", after_s=60.0)
    assert due(queue) == []


def test_an_approval_completes_exactly_once_however_many_click(queue: Queue) -> None:
    """Of many approvals at one instant, one completes the policy; the job enters its line once."""
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=asked())
    now = time.time()
    request = e.ApprovalRequested(at_s=now, count=2, approvers=(), own=False, expires_at_s=now + 60)
    assert queue.await_approval(job_id, request)
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
    assert due(queue) == [job_id]
    record = queue.record(job_id)
    assert record is not None
    assert len(record.approved_by) == 2


def test_one_person_counts_once(queue: Queue) -> None:
    """A second click of the same person is told so."""
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=asked())
    now = time.time()
    queue.await_approval(job_id, e.ApprovalRequested(at_s=now, count=2, approvers=(), own=False, expires_at_s=now + 60))
    assert queue.approve(job_id, by="U2", count=2) == "counted"
    assert queue.approve(job_id, by="U2", count=2) == "repeated"


def test_a_request_that_ran_out_cannot_be_approved_and_ends(queue: Queue) -> None:
    """Too late is too late, also before anybody swept."""
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=asked())
    now = time.time()
    queue.await_approval(job_id, e.ApprovalRequested(at_s=now, count=1, approvers=(), own=False, expires_at_s=now - 1))
    assert queue.approve(job_id, by="U2", count=1) == "closed"
    assert queue.expire_due() == 1
    assert state(queue, job_id) == "expired"
    assert due(queue) == []


def test_a_denied_job_never_runs(queue: Queue) -> None:
    """Denial ends it, once."""
    job_id, _ = queue.reserve(key="k", job=DEPLOY, asked=asked())
    now = time.time()
    queue.await_approval(job_id, e.ApprovalRequested(at_s=now, count=1, approvers=(), own=False, expires_at_s=now + 60))
    assert queue.deny(job_id, by="U2")
    assert not queue.deny(job_id, by="U3")
    assert queue.approve(job_id, by="U4", count=1) == "closed"
    record = queue.record(job_id)
    assert record is not None
    assert (record.state, record.ended_by) == ("denied", "U2")


def test_only_the_newest_progress_is_kept(queue: Queue, claims: Claims) -> None:
    """A long job's progress does not grow its record."""
    job_id = submitted(queue, "a", DEPLOY)
    claim = claimed(claims, job_id)
    claims.append(claim, e.StepStarted(at_s=1.0, step="roll out"))
    before = len(queue.events(job_id))
    for done in range(50):
        claims.append(claim, e.Progressed(at_s=2.0, step="roll out", done=done, total=50, fact=""))
    record = queue.record(job_id)
    assert record is not None
    assert record.progress is not None
    assert record.progress.done == 49
    assert len(queue.events(job_id)) == before


def test_a_change_stays_until_its_newest_state_was_shown(queue: Queue, claims: Claims) -> None:
    """Showing an older state does not clear the change."""
    job_id = submitted(queue, "a", DEPLOY)
    before = queue.record(job_id)
    assert before is not None
    claim = claimed(claims, job_id)
    assert queue.dirty() == [job_id]
    assert not queue.mark_rendered(job_id, before.seq)
    assert queue.dirty() == [job_id]
    record = claim.record
    assert queue.mark_rendered(job_id, record.seq)
    assert queue.dirty() == []


def test_an_attached_file_comes_back_as_it_was(queue: Queue, claims: Claims) -> None:
    """Bytes in, the same bytes out; one that is too large is refused before it is sent."""
    claim = claimed(claims, submitted(queue, "a", DEPLOY))
    assert claims.attach(claim, name="chart.png", title="Chart", data=bytes(range(256)))
    attached = next(event for event in queue.events(claim.record.id) if isinstance(event, e.Attached))
    assert queue.file(attached.file) == bytes(range(256))
    with pytest.raises(ValueError, match="at most"):
        claims.attach(claim, name="big", title="", data=bytes(10 * 1024 * 1024 + 1))


def test_a_starting_worker_sends_what_was_lost_on_its_way(queue: Queue, claims: Claims) -> None:
    """A queued job whose message Redis forgot is delivered again."""
    job_id = submitted(queue, "a", DEPLOY)
    due(queue)
    assert due(queue) == []
    claims.recover()
    assert due(queue) == [job_id]


def test_a_delivery_that_nobody_took_up_is_made_again(queue: Queue, claims: Claims) -> None:
    """A message that was lost between Redis and a worker costs the job half a minute; a job that runs has none left."""
    lost, running = submitted(queue, "a", DEPLOY), submitted(queue, "b", TrainModel(model="iris"))
    assert sorted(due(queue)) == sorted([lost, running])
    claimed(claims, running)
    assert due(queue) == []
    queue._run(scripts.DELIVER_DUE, time.time() + 31)
    assert due(queue) == [lost]


def test_a_delivery_that_still_lies_there_is_not_made_again(queue: Queue) -> None:
    """However long all workers are busy, or there is none, a job has one delivery."""
    job_id = submitted(queue, "a", DEPLOY)
    for later_s in (31, 62, 93):
        queue._run(scripts.DELIVER_DUE, time.time() + later_s)
    assert due(queue) == [job_id]


def test_a_claim_whose_answer_was_lost_is_granted_when_it_is_asked_again(
    queue: Queue, claims: Claims, redis_url: str
) -> None:
    """Otherwise the job would count as running on a worker that lives and knows nothing of it, for ever."""
    job_id = submitted(queue, "b", TrainModel(model="iris"))
    impatient = redis.Redis.from_url(redis_url, socket_timeout=1.0, retry=Retry(NoBackoff(), 1))
    working = Claims(impatient, worker="w2", lease_s=60.0)
    working.heartbeat()
    assert working.claim("unknown") is None  # the connection stands, the script is known
    pid = int(queue._redis.info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(QueueUnavailable):
            working.claim(job_id)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: state(queue, job_id) == "running")
    claim = claimed(working, job_id)
    assert claim.attempt == 1
    assert working.finish(claim, succeeded())
    impatient.close()


def test_a_job_of_another_release_ends_and_says_so(queue: Queue, claims: Claims) -> None:
    """Its target is free for what this worker can read."""
    job_id = submitted(queue, "a", DEPLOY)
    key = f"seatrial:job:{job_id}"
    written = queue._redis.hget(key, "job")
    queue._redis.hset(key, "job", written.replace(b'"kind":"deploy"', b'"kind":"dispatch"'))
    assert claims.claim(job_id) is None
    queue._redis.hset(key, "job", written)  # as a bot of that release would read it
    record = queue.record(job_id)
    assert record is not None
    assert (record.state, "another release" in record.reason) == ("failed", True)
    assert claimed(claims, submitted(queue, "b", DEPLOY)).attempt == 1


def test_what_redis_refuses_is_like_a_redis_that_is_away(queue: Queue, claims: Claims) -> None:
    """One that is full, or short of replicas, is waited for: it is no fault of the one who asks."""
    queue._redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(QueueUnavailable):
            claims.heartbeat()
        with pytest.raises(QueueUnavailable):
            queue.reserve(key="k", job=DEPLOY, asked=asked())
    finally:
        queue._redis.config_set("min-replicas-to-write", 0)
    claims.heartbeat()


def test_everything_of_an_ended_job_has_a_retention(queue: Queue, claims: Claims, redis_url: str) -> None:
    """After a job has ended, no key of it stays for ever."""
    claim = claimed(claims, submitted(queue, "a", DEPLOY))
    claims.append(claim, e.Progressed(at_s=2.0, step="x", done=1, total=2, fact=""))
    claims.attach(claim, name="a.txt", title="a", data=b"a")
    claims.finish(claim, succeeded())
    due(queue)
    client = connect(redis_url)
    endless = {key.decode() for key in client.scan_iter("seatrial:*") if client.ttl(key) == -1}
    counters = {"seatrial:last_job", "seatrial:last_delivery"}
    assert endless <= counters | {"seatrial:jobs", "seatrial:workers", "seatrial:changed"}


def _taken_over(claims: Claims, job_id: str) -> Claim:
    claim = _until_not_busy(claims, job_id)
    assert claim is not None
    return claim


def _until_not_busy(claims: Claims, job_id: str) -> Claim | None:
    """A worker that looks dead is given a second; then its job goes to whoever asks."""
    deadline_s = time.monotonic() + 60.0
    while True:
        try:
            return claims.claim(job_id)
        except Busy:
            assert time.monotonic() < deadline_s, "still busy"
            threading.Event().wait(0.1)
