"""Fixtures of the load generators' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platforms.traffic_plans import load_processes


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Folder of a generator's files. Fails the test if files or processes are left."""
    yield tmp_path / "home"
    left = load_processes(tmp_path)
    for process in left:
        process.kill()
    assert not left
    assert not list((tmp_path / "home").glob("*"))
