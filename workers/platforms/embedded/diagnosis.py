"""What `doctor` says of this machine: the worker's folder, its disk, and what is installed for work done here."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile

from workers.contract.findings import Finding
from workers.contract.settings import SettingsFile
from workers.errors import PermanentError
from workers.platforms.traffic_plan import LOCUST_DIR, find_locustfile

LEAST_FREE_BYTES = 10**9
"""Models take some MB each; below 1 GB one large query's temporary files, or an image's layers, may fill the disk."""
_CHARTS = ("matplotlib",)
_WAREHOUSE = ("duckdb", "sqlglot", "pandas", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")
_CLUSTER = ("onnxruntime", "uvicorn", "httptools", "psutil", "locust")


def diagnose(*, file: SettingsFile, home: Path) -> Iterator[Finding]:
    """`home` can be written, has room, and what `file` wants done on this machine can be done here."""
    yield _writable(home)
    free_bytes = shutil.disk_usage(next(folder for folder in (home, *home.parents) if folder.is_dir())).free
    yield Finding(
        what=f"{home} has {free_bytes / 10**9:.1f} GB of free disk",
        ok=free_bytes >= LEAST_FREE_BYTES,
        advice=f"Free at least {LEAST_FREE_BYTES / 10**9:g} GB, or set SEATRIAL_HOME to a folder on another disk.",
    )
    serves = any(environment.cluster == "local" for environment in file.environments.values())
    yield _installed({*_CHARTS, *(_WAREHOUSE if file.warehouse == "local" else ()), *(_CLUSTER if serves else ())})
    if serves:
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
    # By the installed packages' own records: a folder of the same name, such as locust/, is no package.
    missing = [package for package in sorted(packages) if not _has(package)]
    if not missing:
        return Finding(what=f"{len(packages)} packages for work on this machine are installed", ok=True)
    advice = "Run: pip install 'seatrial[worker,load]'"
    return Finding(what=f"not installed: {', '.join(missing)}", ok=False, advice=advice)


def _has(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _locustfile() -> Finding:
    try:
        return Finding(what=f"{find_locustfile(LOCUST_DIR)} is there for load tests", ok=True)
    except PermanentError as error:
        return Finding(what=str(error).rstrip("."), ok=False, advice=error.advice)
