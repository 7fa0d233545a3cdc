"""Processes with wrong clocks, for tests of bots and workers."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "wrong_clock"


def clock_ahead(seconds: float) -> dict[str, str]:
    """Return the environment variables of a process with a clock that is `seconds` ahead."""
    return {"PYTHONPATH": str(_FOLDER), "SEATRIAL_TEST_CLOCK_AHEAD_S": str(seconds)}
