"""A job leaves a call that cannot be interrupted, and hears of its stages."""

from threading import Event
from typing import Any

import pytest

from tests.platforms.progress import RecordedProgress
from workers.errors import JobCancelled, PermanentError
from workers.platforms.embedded.warehouse.background import in_background


def test_work_that_cannot_be_interrupted_is_left_behind() -> None:
    """A job that is to stop does not wait for the stage under way; the stage's end ends the thread."""
    release, ended, progress = Event(), Event(), RecordedProgress()

    def stage(tell: Any) -> None:
        progress.cancelled.set()
        release.wait(60)
        try:
            tell(1, 1, "nobody listens any more")
        finally:
            ended.set()

    try:
        with pytest.raises(JobCancelled):
            in_background(stage, progress=progress)
        assert not ended.is_set()
    finally:
        release.set()
    assert ended.wait(60)
    assert progress.reports == []


def test_what_the_work_raises_is_raised_where_the_job_runs() -> None:
    """An error in the background thread is the caller's error, and its earlier stages were reported."""
    progress = RecordedProgress()

    def work(tell: Any) -> None:
        tell(1, 2, "half")
        raise PermanentError("Nothing doing.")

    with pytest.raises(PermanentError, match="Nothing doing"):
        in_background(work, progress=progress)
    assert progress.reports == [(1, 2, "half")]
