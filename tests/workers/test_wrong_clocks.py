"""Workers with wrong clocks, under load."""

from tests.platforms.counting_target import CountingTarget
from tests.waiting import wait_until
from tests.workers.harness import WorkerHarness
from tests.wrong_clocks import clock_ahead
from workers.contract.jobs import LoadTest
from workers.contract.load import Shape, Slo


def load_test(target: str, duration_s: float) -> LoadTest:
    shape = Shape(lowest_rps=20, highest_rps=20)
    return LoadTest(model="", environment=target, shape=shape, duration_s=duration_s, slo=Slo(errors_percent=1))


def test_workers_with_wrong_clocks_take_over_only_the_job_of_a_dead_worker(
    harness: WorkerHarness, target: CountingTarget
) -> None:
    """A worker that starts claims all open jobs, and Dramatiq redelivers the jobs of a worker without heartbeats."""
    address = f'url = "{target.url}"\nprivate = true\nowner = "@search"\n'
    harness.add_settings("".join(f"[targets.t{number}]\n{address}" for number in range(3)))
    harness.environ |= {"SEATRIAL_THREADS": "1"}
    began_s = harness.queue.now_s()
    harness.worker("right")
    jobs = [harness.ask("t0", load_test("t0", 10))]
    wait_until(lambda: harness.record(jobs[0]).measured)
    harness.worker("behind", **clock_ahead(-300))
    jobs.append(harness.ask("t1", load_test("t1", 3)))
    wait_until(lambda: harness.record(jobs[1]).measured)
    ahead = harness.worker("ahead", **clock_ahead(300))
    jobs.append(harness.ask("t2", load_test("t2", 3)))
    wait_until(lambda: harness.record(jobs[2]).measured)
    ahead.kill()
    records = [harness.ended(job_id) for job_id in jobs]
    assert [(one.state, one.attempt, one.took_over) for one in records] == [
        ("succeeded", 1, False),
        ("succeeded", 1, False),
        ("succeeded", 2, True),
    ]
    for job_id in jobs:
        times = [began_s, *(event.at_s for event in harness.queue.events(job_id)), harness.queue.now_s()]
        assert times == sorted(times)
