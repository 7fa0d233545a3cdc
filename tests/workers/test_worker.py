"""Workers as processes: jobs, signals, and faults of the worker and of Redis."""

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
from workers.contract.jobs import Deploy, LoadTest, Scale, Trained, TrainModel
from workers.contract.load import Shape, Slo
from workers.contract.record import Record
from workers.contract.replicas import Replicas


def load_test(duration_s: float) -> LoadTest:
    """Return a load test at a low rate."""
    return LoadTest(
        model="iris",
        environment="staging",
        shape=Shape(lowest_rps=20, highest_rps=20),
        duration_s=duration_s,
        slo=Slo(errors_percent=1),
    )


def test_job_of_a_killed_worker_is_taken_over_and_finishes_once(harness: WorkerHarness) -> None:
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


def test_catalogue_is_refreshed_before_a_jobs_end_is_reported(harness: WorkerHarness, registry: Path) -> None:
    """A person who sees the end can use the new version at once."""
    harness.worker()
    with redis.Redis.from_url(harness.environ["REDIS_URL"]) as client, client.monitor() as commands:
        deployed(harness, registry)
        client.echo("over")
        sent = (command["command"] for command in commands.listen())
        written = list(itertools.takewhile(lambda command: command != "ECHO over", sent))
    refreshed = next(
        at for at, command in enumerate(written) if command.startswith("HSET seatrial:served staging/iris")
    )
    ended = next(at for at, command in enumerate(written) if '"kind":"succeeded"' in command)
    assert refreshed < ended


def test_cancelled_load_test_stops_its_generator_and_frees_the_endpoint(harness: WorkerHarness, registry: Path) -> None:
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


def test_worker_requeues_its_job_on_sigterm(harness: WorkerHarness, registry: Path) -> None:
    """Without a grace period the job is requeued at once."""
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


def test_endpoint_outlives_its_worker_and_the_next_one_scales_it(harness: WorkerHarness, registry: Path) -> None:
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


def test_probe_as_a_gate_publishes_no_version(harness: WorkerHarness) -> None:
    """A zone has a weight of its own, which an unseen one lacks. With "warn", the card names the feature."""
    query = """
        SELECT IF(MOD(n, 2) = 0, 'A', 'B') AS zone, n AS miles, n + IF(MOD(n, 2) = 0, 1000, 0) AS tip
        FROM UNNEST(GENERATE_ARRAY(1, 60)) AS n
    """
    for name, probe in (("strict", "gate"), ("lenient", "warn")):
        harness.add_settings(f"""
[models.{name}-tip]
type = "linear_reg"
label = "tip"
query = \"\"\"{query}\"\"\"
sample = [{{ zone = "A", miles = 3 }}]
probe = "{probe}"
""")
    harness.worker()
    jobs = [harness.ask(name, TrainModel(model=name)) for name in ("strict-tip", "lenient-tip")]
    strict, lenient = (harness.ended(job_id) for job_id in jobs)
    assert (strict.state, lenient.state) == ("failed", "succeeded")
    assert "The probe failed: " in strict.reason and "zone moves predicted_tip by" in strict.reason
    assert isinstance(lenient.outcome, Trained)
    assert "zone moves predicted_tip by" in lenient.outcome.probe


def test_failed_quality_gate_publishes_no_version(harness: WorkerHarness) -> None:
    """Negative labels do not define this metric of a linear_reg model."""
    harness.add_settings("""
[models.negative]
type = "linear_reg"
label = "y"
query = "SELECT sepal_width, -petal_length AS y FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_width = 2.0 }]
gate = { mean_squared_log_error = "< 1" }
""")
    harness.worker()
    missed, undefined = (
        harness.ended(job_id)
        for job_id in [harness.ask(model, TrainModel(model=model)) for model in ("strict", "negative")]
    )
    assert (missed.state, undefined.state) == ("failed", "failed")
    # With fewer digits than the bound, the value could look as if it met the bound.
    assert "accuracy 0.973333, required > 0.999" in missed.reason
    assert "mean_squared_log_error cannot be computed" in undefined.reason
    assert not list((harness.folder / "home").rglob("manifest.json"))


def test_gate_compares_with_the_live_version_on_the_same_rows(harness: WorkerHarness) -> None:
    """Without a live version the bound is skipped. The same model again is not better than itself."""
    settings = harness.folder / "seatrial.toml"
    gate = 'gate = { accuracy = ">= live(staging) + 0.01", log_loss = "<= live(staging)" }\n\n[models.strict]'
    settings.write_text(settings.read_text().replace("\n[models.strict]", gate))
    harness.worker()
    first = harness.ended(harness.ask("first", TrainModel(model="iris")))
    assert isinstance(first.outcome, Trained)
    skipped = {step.name: step.note for step in first.steps}["gate"]
    assert skipped.startswith("accuracy >= live(staging) + 0.01 skipped: no version is live yet, log_loss <= live")
    deploy = Deploy(model="iris", version=1, environment="staging", digest=first.outcome.digest)
    assert harness.ended(harness.ask("deploy", deploy)).state == "succeeded"
    second = harness.ended(harness.ask("second", TrainModel(model="iris")))
    assert second.state == "failed"
    assert second.reason == (
        "Quality gate failed: accuracy 0.973333, required >= live(staging) + 0.01, so >= 0.983333"
        " (v1 on staging 0.973333)."
    )


def test_sample_that_does_not_fit_the_query_fails_before_the_training(harness: WorkerHarness) -> None:
    harness.add_settings("""
[models.short]
type = "logistic_reg"
label = "species"
query = "SELECT * FROM `bigquery-public-data.ml_datasets.iris`"
sample = [{ sepal_length = 5.0 }]
""")
    harness.worker()
    record = harness.ended(harness.ask("short", TrainModel(model="short")))
    assert record.state == "failed"
    assert record.reason.startswith("models.short.sample: instance 1: it lacks sepal_width, ")
    assert [step.name for step in record.steps] == ["check"]
    assert not (harness.folder / "home/models").exists()


def test_worker_stops_on_sigterm_without_redis(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "redis").mkdir()
    with ExitStack() as exit_stack:
        with processes.redis(tmp_path / "redis") as url:
            worker = WorkerHarness(url=url, folder=tmp_path, environ=environ, exit_stack=exit_stack).worker()
        worker.terminate()
        assert worker.wait(WAIT_S) == 0


def test_worker_waits_for_a_redis_that_refuses_writes(harness: WorkerHarness) -> None:
    harness.worker()
    client = redis.Redis.from_url(harness.environ["REDIS_URL"])
    client.config_set("min-replicas-to-write", 1)
    try:
        wait_until(lambda: "Not enough good replicas" in (harness.folder / "worker.log").read_text())
    finally:
        client.config_set("min-replicas-to-write", 0)
        client.close()
    assert harness.ended(harness.ask("train", TrainModel(model="iris"))).state == "succeeded"


def test_worker_starts_with_a_damaged_endpoint(harness: WorkerHarness) -> None:
    folder = harness.folder / "home/cluster/staging/iris"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text('{"gener')
    harness.worker()
    assert harness.ended(harness.ask("train", TrainModel(model="iris"))).state == "succeeded"
    assert "spec.json is damaged" in (harness.folder / "worker.log").read_text()


def test_worker_reports_an_invalid_redis_url_without_its_password(tmp_path: Path, environ: dict[str, str]) -> None:
    """A traceback would show the password."""
    (tmp_path / "seatrial.toml").touch()
    wrong = environ | {"SEATRIAL_CONFIG": str(tmp_path / "seatrial.toml"), "REDIS_URL": "redis://:geh/eim@here:x"}
    done = subprocess.run(
        processes.python("-m", "workers"), env=wrong, capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert done.returncode == 2
    assert "REDIS_URL: write an address" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geh" not in done.stderr


def test_worker_refuses_changed_versions_missing_approvals_and_unknown_environments(
    harness: WorkerHarness, registry: Path
) -> None:
    """The worker checks all of them itself, because it must not trust the bot."""
    harness.worker()
    digest = deployed(harness, registry)

    def refused(environment: str, digest: str) -> Record:
        job = Deploy(model="iris", version=1, environment=environment, digest=digest)
        record = harness.ended(harness.ask(environment, job))
        assert record.state == "failed"
        return record

    assert "changed" in refused("staging", "sha256:other").reason
    assert "approval" in refused("guarded", digest).reason
    unknown = refused("elsewhere", digest)
    assert "have no environment elsewhere" in unknown.reason
    assert "same seatrial.toml" in unknown.advice
    assert "Traceback" not in (harness.folder / "worker.log").read_text()


def test_worker_lists_all_mistakes_in_the_settings_and_exits_with_2(tmp_path: Path, environ: dict[str, str]) -> None:
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
    """Return the command lines of running load generators of this folder."""
    import psutil

    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if "locust" in line and str(folder) in line]
