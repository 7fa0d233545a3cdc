"""Cache folder of downloads. It keeps the entries used last and all that may be in use."""

import contextlib
import os
import shutil
import time
from pathlib import Path

KEPT = 5
"""Entries kept for each model: enough for a rollout, its undo, and one or two comparisons."""
IN_USE_S = 24 * 3600.0
"""The time that an entry counts as in use: longer than any job."""


def mark_used(folder: Path) -> None:
    """Mark the folder as used now. An unwritable folder is reported by the next download."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def remove_unused(parent: Path) -> None:
    """Remove all but the KEPT last used entries of `parent` and those used within IN_USE_S.

    Skips entries that cannot be removed, or that another worker removes.
    """
    used_at_s: dict[Path, float] = {}
    for entry in parent.glob("*"):
        with contextlib.suppress(OSError):
            used_at_s[entry] = entry.lstat().st_mtime
    for entry in sorted(used_at_s, key=lambda entry: -used_at_s[entry])[KEPT:]:
        if time.time() - used_at_s[entry] > IN_USE_S:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    entry.unlink()
