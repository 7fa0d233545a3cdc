"""What tests of workers share: a yard that leaves nothing behind, and a registry that is filled once."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.workers.harness import Yard, fill_registry


@pytest.fixture
def yard(redis_url: str, tmp_path: Path, environ: dict[str, str]) -> Iterator[Yard]:
    """Somewhere to run workers; nothing of it is left."""
    with ExitStack() as stack:
        yield Yard(url=redis_url, folder=tmp_path, environ=environ, stack=stack)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that has version 1 of iris, trained once for all tests."""
    return fill_registry(tmp_path_factory.mktemp("registry"))
