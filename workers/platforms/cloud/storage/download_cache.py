"""A folder of downloads that may be thrown away: what was used last is kept, and everything that may be in use."""

import contextlib
import os
import shutil
import time
from pathlib import Path

KEPT = 5
"""Folders that are kept of one model, the last used first: a rollout, its way back, and a comparison or two."""
IN_USE_S = 24 * 3600.0
"""How long a folder may be read after it was asked for: longer than any job."""


def mark_used(folder: Path) -> None:
    """Take note that the folder is used now; one that cannot be written is told when something is fetched into it."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def forget_unused(parent: Path) -> None:
    """Remove all but the KEPT last used entries of `parent`, and none that was used within IN_USE_S.

    What another worker is removing too, or cannot be removed, is passed over.
    """
    used_at_s: dict[Path, float] = {}
    for entry in parent.glob("*"):
        with contextlib.suppress(OSError):
            used_at_s[entry] = entry.lstat().st_mtime
    newest_first = sorted(used_at_s, key=lambda entry: -used_at_s[entry])
    for entry in newest_first[KEPT:]:
        if time.time() - used_at_s[entry] > IN_USE_S:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    entry.unlink()
