"""Fixtures of the worker tests: a harness that cleans up, and a registry that is filled once."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.workers.harness import WorkerHarness, fill_registry


@pytest.fixture
def harness(redis_url: str, tmp_path: Path, environ: dict[str, str]) -> Iterator[WorkerHarness]:
    """Yield a harness; its workers and endpoints are stopped afterwards."""
    with ExitStack() as exit_stack:
        yield WorkerHarness(url=redis_url, folder=tmp_path, environ=environ, exit_stack=exit_stack)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with version 1 of iris, trained once per session."""
    return fill_registry(tmp_path_factory.mktemp("registry"))
