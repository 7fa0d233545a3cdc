"""Polling for conditions in tests."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


def wait_until(
    predicate: Callable[[], T | None], timeout_s: float = 60.0, message: str = "the condition did not become true"
) -> T:
    """Return the first true value of `predicate`; fail the test with `message` after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := predicate()):
        assert time.monotonic() < deadline_s, f"{message} within {timeout_s:g} s"
        time.sleep(POLL_S)
    return value
