"""What every test may use: a real Redis of its own."""

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
"""A run in CI tries the same examples each time, keeps no example database, and prints what repeats a failure."""

settings.register_profile(
    "seatrial",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=IN_CI,
    print_blob=IN_CI,
)
settings.load_profile("seatrial")

SLOWEST_FIRST = (
    "cloud/test_whole_loop.py",
    "platforms/test_load.py",
    "workers/test_find_capacity.py",
    "platforms/test_load_engine.py",
    "flows/test_schedules.py",
    "cloud/test_load_on_kubernetes.py",
    "workers/test_worker.py",
    "cloud/test_load_driver.py",
    "flows/test_loadtest.py",
    "workers/test_load_tests.py",
    "browser/test_whole_loop.py",
    "flows/test_loop.py",
    "platforms/test_load_processes.py",
    "flows/test_faults.py",
)
"""The files that take the longest go first, so that no process is left alone with one of them in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first, and leave the others in their order."""
    items.sort(
        key=lambda item: next((place for place, file in enumerate(SLOWEST_FIRST) if str(item.path).endswith(file)), 99)
    )


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis that runs for the whole session."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with processes.redis(folder) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a Redis that holds nothing."""
    client = redis_client.Redis.from_url(redis_server)
    client.flushall()
    client.close()
    return redis_server


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    """This process's environment without what would steer Slack or Seatrial."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "SEATRIAL_"))}


@pytest.fixture(scope="module")
def stack(redis_server: str, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a bot and a worker, for all the tests of a module."""
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
    """A server to be loaded, which counts for itself."""
    target = CountingTarget()
    try:
        yield target
    finally:
        target.kill()
