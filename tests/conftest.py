"""Fixtures of every test: a real Redis, and a whole Seatrial."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis as redis_client
from hypothesis import HealthCheck, settings

from bot.demo import processes
from tests.platforms.counting_target import CountingTarget
from tests.stack import Stack

IN_CI = "CI" in os.environ
"""In CI, Hypothesis tries the same examples in each run, keeps no database, and prints how to reproduce a failure."""

settings.register_profile(
    "seatrial",
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=IN_CI,
    print_blob=IN_CI,
)
settings.load_profile("seatrial")

SLOWEST_FIRST = (
    "cloud/test_whole_loop.py",
    "platforms/test_load.py",
    "platforms/test_load_engine.py",
    "workers/test_reports_chart.py",
    "platforms/test_load_destination.py",
    "cloud/test_load_driver.py",
    "workers/test_load_tests.py",
    "platforms/test_images.py",
    "flows/test_loop.py",
    "workers/test_worker.py",
    "workers/test_wrong_clocks.py",
    "flows/test_schedules.py",
    "browser/test_whole_loop.py",
    "cloud/test_compose_file.py",
    "cloud/test_gcs_registry.py",
    "flows/test_faults.py",
    "cloud/test_load_on_kubernetes.py",
    "workers/test_find_capacity.py",
    "flows/test_loadtest.py",
    "cloud/test_docker_images.py",
    "platforms/test_load_processes.py",
    "platforms/test_serving.py",
    "bot/test_commands_cron.py",
    "bot/test_local_slack_limits.py",
)
"""Slow files run first. Otherwise one process would work on the last of them alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first and keep the order of the others."""
    items.sort(
        key=lambda item: next((place for place, file in enumerate(SLOWEST_FIRST) if str(item.path).endswith(file)), 99)
    )


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a Redis for the whole session."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with processes.redis(folder) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """Return the URL of an empty Redis."""
    client = redis_client.Redis.from_url(redis_server)
    client.flushall()
    client.close()
    return redis_server


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    """Return this process's environment without the variables of Slack and Seatrial."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "SEATRIAL_"))}


@pytest.fixture(scope="module")
def stack(redis_server: str, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a stack with a bot and a worker for all tests of a module."""
    client = redis_client.Redis.from_url(redis_server)
    client.flushall()
    client.close()
    with ExitStack() as exit_stack:
        built = Stack(url=redis_server, folder=tmp_path_factory.mktemp("stack"), environ=environ, exit_stack=exit_stack)
        built.start_worker()
        built.start_bot()
        yield built


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    """Yield a server under load that counts its requests."""
    target = CountingTarget()
    try:
        yield target
    finally:
        target.kill()
