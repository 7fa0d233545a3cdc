"""A job can stop while a library call runs in the background."""

from threading import Event
from typing import Any

import pytest

from tests.platforms.progress import RecordedProgress
from workers.errors import JobCancelled, PermanentError
from workers.platforms.embedded.background import run_in_background


def test_cancelled_job_does_not_wait_for_the_current_stage() -> None:
    """The thread ends after its stage."""
    release, ended, progress = Event(), Event(), RecordedProgress()

    def stage(report: Any) -> None:
        progress.cancelled.set()
        release.wait(60)
        try:
            report(1, 1, "not reported")
        finally:
            ended.set()

    try:
        with pytest.raises(JobCancelled):
            run_in_background(stage, progress=progress)
        assert not ended.is_set()
    finally:
        release.set()
    assert ended.wait(60)
    assert progress.reports == []


def test_error_in_the_background_is_raised_after_earlier_stages_are_reported() -> None:
    progress = RecordedProgress()

    def work(report: Any) -> None:
        report(1, 2, "half")
        raise PermanentError("Out of luck.")

    with pytest.raises(PermanentError, match="Out of luck"):
        run_in_background(work, progress=progress)
    assert progress.reports == [(1, 2, "half")]
