"""Checks of this machine for `doctor`: the worker's folder, its disk, and the installed packages."""

import shutil
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryFile

from workers.contract.findings import Finding
from workers.contract.settings import SettingsFile
from workers.errors import PermanentError
from workers.platforms.traffic_plan import LOCUST_DIR, find_locustfile

MIN_FREE_BYTES = 10**9
"""Models take a few MB each. Below 1 GB, the temporary files of one large query or the layers of an image may fill the
disk."""
_CHARTS = ("matplotlib",)
_WAREHOUSE = ("duckdb", "zetasql", "pyarrow", "pandas", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")
_CLUSTER = ("onnxruntime", "uvicorn", "httptools", "psutil", "locust")


def diagnose(*, file: SettingsFile, home: Path) -> Iterator[Finding]:
    """Check that `home` is writable and has space, and that this machine has what the settings in `file` need."""
    yield _writable(home)
    free_bytes = shutil.disk_usage(next(folder for folder in (home, *home.parents) if folder.is_dir())).free
    yield Finding(
        what=f"{home} has {free_bytes / 10**9:.1f} GB of free disk",
        ok=free_bytes >= MIN_FREE_BYTES,
        advice=f"Free at least {MIN_FREE_BYTES / 10**9:g} GB, or set SEATRIAL_HOME to a folder on another disk.",
    )
    serves_here = any(environment.cluster == "local" for environment in file.environments.values())
    yield _installed({*_CHARTS, *(_WAREHOUSE if file.warehouse == "local" else ()), *(_CLUSTER if serves_here else ())})
    if serves_here:
        yield _locustfile()


def _writable(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=home):
            return Finding(what=f"{home} can be written", ok=True)
    except OSError as error:
        advice = "Set SEATRIAL_HOME to a folder that the worker may write."
        return Finding(what=f"{home} cannot be written: {error.strerror}", ok=False, advice=advice)


def _installed(packages: set[str]) -> Finding:
    # Read package metadata instead of importing: locust/ is also a folder of this project.
    missing = [package for package in sorted(packages) if not any(distributions(name=package))]
    if missing:
        advice = "Run: pip install 'seatrial[worker,load]'"
        return Finding(what=f"not installed: {', '.join(missing)}", ok=False, advice=advice)
    return Finding(what=f"{len(packages)} packages for work on this machine are installed", ok=True)


def _locustfile() -> Finding:
    try:
        return Finding(what=f"{find_locustfile(LOCUST_DIR)} exists for load tests", ok=True)
    except PermanentError as error:
        return Finding(what=str(error).rstrip("."), ok=False, advice=error.advice)
