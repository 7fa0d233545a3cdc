"""A worker as a process: it runs jobs, stops when told, survives what happens to it and to Redis."""

import itertools
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import redis

from bot.demo import processes
from tests.waiting import wait_until
from tests.workers.harness import WAIT_S, WorkerHarness, deployed
from workers.contract import events as e
from workers.contract.jobs import Deploy, LoadTest, Scale, TrainModel
from workers.contract.load import Shape, Slo
from workers.contract.replicas import Replicas


def load_test(duration_s: float) -> LoadTest:
    """A light one."""
    return LoadTest(
        model="iris",
        environment="staging",
        shape=Shape(lowest_rps=20, highest_rps=20),
        duration_s=duration_s,
        slo=Slo(errors_percent=1),
    )


def test_a_job_whose_worker_is_killed_is_taken_up_and_finishes_once(harness: WorkerHarness) -> None:
    """SIGKILL in mid-job: another worker has it within seconds; one version comes of it, and the record tells."""
    first = harness.worker("first")
    harness.worker("second")
    job_id = harness.ask("train", TrainModel(model="iris"))
    wait_until(lambda: harness.record(job_id).state == "running")
    holder = harness.record(job_id)
    events = harness.queue.events(job_id)
    started = next(event for event in events if isinstance(event, e.Started))
    victim = int(started.worker.split("-")[-2])
    os.kill(victim, signal.SIGKILL)
    assert holder.attempt == 1
    record = harness.ended(job_id)
    assert (record.state, record.attempt, record.took_over) == ("succeeded", 2, True)
    assert record.outcome is not None
    assert record.outcome.kind == "trained"
    assert record.outcome.version == 1
    ends = [event for event in harness.queue.events(job_id) if isinstance(event, e.Succeeded)]
    assert len(ends) == 1
    assert first.poll() is not None or first.pid != victim


def test_what_a_job_changed_is_known_before_its_end(harness: WorkerHarness, registry: Path) -> None:
    """Whoever reads that it has ended, and asks for what it made, is not told that there is no such thing."""
    harness.worker()
    with redis.Redis.from_url(harness.environ["REDIS_URL"]) as client, client.monitor() as commands:
        deployed(harness, registry)
        client.echo("over")
        words = (told["command"] for told in commands.listen())
        written = list(itertools.takewhile(lambda command: command != "ECHO over", words))
    known = next(at for at, command in enumerate(written) if command.startswith("HSET seatrial:served staging/iris"))
    ended = next(at for at, command in enumerate(written) if '"kind":"succeeded"' in command)
    assert known < ended


def test_a_running_job_is_cancelled_and_cleans_up(harness: WorkerHarness, registry: Path) -> None:
    """The card says who; the load has ended, no generator is left, and the target is free for the next."""
    harness.worker()
    deployed(harness, registry)
    job_id = harness.ask("load", load_test(60))
    following = harness.ask("again", load_test(1))
    wait_until(lambda: harness.record(job_id).measured is not None)
    assert harness.record(following).state == "waiting"
    harness.queue.cancel(job_id, by="U2")
    record = harness.ended(job_id)
    assert (record.state, record.ended_by) == ("cancelled", "U2")
    assert harness.ended(following).state == "succeeded"
    assert not _generators(harness.folder)


def test_a_worker_that_is_told_to_stop_hands_its_job_back(harness: WorkerHarness, registry: Path) -> None:
    """SIGTERM without grace: the job is queued again at once, and the next worker does it."""
    first = harness.worker("first")
    deployed(harness, registry)
    job_id = harness.ask("load", load_test(4))
    wait_until(lambda: harness.record(job_id).measured is not None)
    first.terminate()
    assert first.wait(WAIT_S) == 0
    assert harness.record(job_id).state == "queued"
    harness.worker("second")
    record = harness.ended(job_id)
    assert (record.state, record.attempt, record.took_over) == ("succeeded", 2, False)


def test_endpoints_outlive_the_worker_and_the_next_one_finds_them(harness: WorkerHarness, registry: Path) -> None:
    """What was deployed goes on; a new worker scales it."""
    first = harness.worker("first")
    deployed(harness, registry)
    first.kill()
    first.wait()
    harness.worker("second")
    two = Replicas(minimum=2, maximum=2)
    record = harness.ended(harness.ask("scale", Scale(model="iris", environment="staging", replicas=two)))
    assert record.state == "succeeded"
    assert record.outcome is not None
    assert record.outcome.kind == "rescaled"
    assert (record.outcome.before, record.outcome.after) == (1, 2)


def test_failed_quality_gate_publishes_no_version(harness: WorkerHarness) -> None:
    """The failure names the metric and the bound; the registry has no such version."""
    harness.worker()
    record = harness.ended(harness.ask("train", TrainModel(model="strict")))
    assert record.state == "failed"
    assert "accuracy 0.97" in record.reason
    # Rounded to fewer digits than the bound has, it may look as if it were held.
    assert len(record.reason.partition("accuracy ")[2].partition(",")[0]) == len("0.973333")
    assert "> 0.999" in record.reason
    assert not list((harness.folder / "home").rglob("manifest.json"))


def test_a_gate_on_a_metric_that_these_rows_do_not_define_says_so(harness: WorkerHarness) -> None:
    """A linear_reg has this metric, and this one, by its rows, has not."""
    harness.add_settings("""
[models.negative]
type = "linear_reg"
label = "y"
query = "SELECT sepal_width, -petal_length AS y FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_width = 2.0 }]
gate = { mean_squared_log_error = "< 1" }
""")
    harness.worker()
    record = harness.ended(harness.ask("train", TrainModel(model="negative")))
    assert record.state == "failed"
    assert "mean_squared_log_error undefined on them" in record.reason


def test_a_worker_ends_when_it_is_told_to_though_redis_is_away(tmp_path: Path, environ: dict[str, str]) -> None:
    """That it leaves need not be written down: its lease runs out."""
    (tmp_path / "redis").mkdir()
    with ExitStack() as exit_stack:
        with processes.redis(tmp_path / "redis") as url:
            worker = WorkerHarness(url=url, folder=tmp_path, environ=environ, exit_stack=exit_stack).worker()
        worker.terminate()
        assert worker.wait(WAIT_S) == 0


def test_a_worker_outlasts_a_redis_that_refuses(harness: WorkerHarness) -> None:
    """One that is full, or short of replicas, is waited for as one that is away is."""
    harness.worker()
    client = redis.Redis.from_url(harness.environ["REDIS_URL"])
    client.config_set("min-replicas-to-write", 1)
    try:
        wait_until(lambda: "Not enough good replicas" in (harness.folder / "worker.log").read_text())
    finally:
        client.config_set("min-replicas-to-write", 0)
        client.close()
    assert harness.ended(harness.ask("train", TrainModel(model="iris"))).state == "succeeded"


def test_a_worker_starts_beside_an_endpoint_that_is_damaged(harness: WorkerHarness) -> None:
    """It says which, and does everything else."""
    folder = harness.folder / "home/cluster/staging/iris"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text('{"gener')
    harness.worker()
    assert harness.ended(harness.ask("train", TrainModel(model="iris"))).state == "succeeded"
    assert "spec.json is damaged" in (harness.folder / "worker.log").read_text()


def test_what_is_no_redis_url_is_said_without_its_password(tmp_path: Path, environ: dict[str, str]) -> None:
    """As any other mistake of the settings, and no traceback, which would quote it."""
    (tmp_path / "seatrial.toml").touch()
    wrong = environ | {"SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml"), "REDIS_URL": "redis://:geh/eim@here:x"}
    done = subprocess.run(
        processes.python("-m", "workers"), env=wrong, capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert done.returncode == 2
    assert "REDIS_URL is no Redis URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geh" not in done.stderr


def test_what_has_changed_since_it_was_approved_does_not_run(harness: WorkerHarness, registry: Path) -> None:
    """Another digest than the registry's voids the deployment."""
    harness.worker()
    deployed(harness, registry)
    job_id = harness.ask("other", Deploy(model="iris", version=1, environment="staging", digest="sha256:other"))
    record = harness.ended(job_id)
    assert record.state == "failed"
    assert "changed" in record.reason


def test_a_worker_does_not_take_the_bots_word_for_an_approval(harness: WorkerHarness, registry: Path) -> None:
    """A job that came into the queue without the approvals of the worker's own settings is refused."""
    harness.worker()
    digest = deployed(harness, registry)
    record = harness.ended(harness.ask("x", Deploy(model="iris", version=1, environment="guarded", digest=digest)))
    assert record.state == "failed"
    assert "approval" in record.reason


def test_a_place_that_only_the_bots_settings_have_is_said(harness: WorkerHarness) -> None:
    """Bot and worker with different settings: a sentence on the card, not a fault of Seatrial's."""
    harness.worker()
    record = harness.ended(
        harness.ask("x", Deploy(model="iris", version=1, environment="elsewhere", digest="sha256:1"))
    )
    assert record.state == "failed"
    assert "have no environment elsewhere" in record.reason
    assert "same seatrial.toml" in record.advice
    assert "Traceback" not in (harness.folder / "worker.log").read_text()


def test_wrong_settings_are_all_listed_and_the_exit_is_2(tmp_path: Path, environ: dict[str, str]) -> None:
    """Every mistake of the environment and of the file at once, on standard error."""
    config = tmp_path / "seatrial.toml"
    config.write_text('[models.iris]\ntype = "nonsense"\n[environments.a]\ncpu_target = "x"\n')
    wrong = environ | {"SEATRIAL_CONFIG": str(config), "SEATRIAL_THREADS": "many", "SEATRIAL_LEASE_S": "-1"}
    done = subprocess.run(
        processes.python("-m", "workers"), env=wrong, capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert done.returncode == 2
    for piece in ("SEATRIAL_THREADS", "SEATRIAL_LEASE_S", "models.iris.type", "models.iris.label", "cpu_target", ":2:"):
        assert piece in done.stderr
    assert "Traceback" not in done.stderr


def _generators(folder: Path) -> list[str]:
    """The command lines of load generators that run now and belong to this folder."""
    import psutil

    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if "locust" in line and str(folder) in line]
