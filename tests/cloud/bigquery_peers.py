"""BigQuery emulators of other authors, each in its own virtual environment, which is kept between runs."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.demo.processes import free_port

BQEMULATOR = (
    "bqemulator==1.4.0",
    "numpy==2.4.6",
    "duckdb==1.5.5",
    "duckdb-extensions==1.5.5",
    "duckdb-extension-spatial==1.5.5",
)
CRUCIBLE = ("crucible-emulator[server]==0.1.0a2",)
_SPATIAL = "from duckdb_extensions import import_extension; import_extension('spatial')"


def cache() -> Path:
    """Return the folder of the environments; see the XDG Base Directory Specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seatrial" / "peers"


@contextmanager
def bqemulator(folder: Path) -> Iterator[str]:
    """Yield the base URL of an empty bqemulator with the project "demo"."""
    # DuckDB looks for its extensions under HOME.
    home = environment("bqemulator", BQEMULATOR, then=("-c", _SPATIAL))
    port, grpc = free_port(), free_port()
    ports = ("--rest-port", str(port), "--grpc-port", str(grpc))
    command = [str(home / "bin" / "bqemulator"), "start", *ports, "--ephemeral", "--project", "demo"]
    with _running(command, home=home, log=folder / "bqemulator.log", port=port) as url:
        yield url


@contextmanager
def crucible(folder: Path) -> Iterator[str]:
    """Yield the base URL of an empty crucible-emulator."""
    home = environment("crucible", CRUCIBLE)
    port = free_port()
    command = [str(home / "bin" / "crucible"), "serve", "--dialect", "bigquery", "--port", str(port)]
    with _running(command, home=home, log=folder / "crucible.log", port=port) as url:
        yield url


def environment(name: str, packages: Sequence[str], *, then: Sequence[str] = ()) -> Path:
    """Return the environment with exactly `packages`. One process at a time creates a missing one.

    If pip cannot install them, the test is skipped with pip's message. In CI it fails.
    """
    home = cache() / name
    home.mkdir(parents=True, exist_ok=True)
    made_of = home / "made-of.txt"
    wanted = "\n".join((sys.version, *packages))
    with (home.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made_of.exists() or made_of.read_text() != wanted:
            shutil.rmtree(home)
            try:
                _run([sys.executable, "-m", "venv", str(home)])
                _run([str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])
                if then:
                    _run([str(home / "bin" / "python"), *then], home=home)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                _give_up(f"{name} cannot be installed: {str(error.stderr or error)[-400:]}")
            made_of.write_text(wanted)
    return home


def _give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _run(command: list[str], *, home: Path | None = None) -> None:
    environ = {**os.environ, **({"HOME": str(home)} if home else {})}
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=400, env=environ)


@contextmanager
def _running(command: list[str], *, home: Path, log: Path, port: int) -> Iterator[str]:
    """Yield the server's base URL, and kill the server at the end."""
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "HOME": str(home)})
        try:
            deadline_s = time.monotonic() + 60
            while not _answers(f"{url}/bigquery/v2/projects/demo/datasets"):
                assert server.poll() is None and time.monotonic() < deadline_s, log.read_text(errors="replace")[-2000:]
                time.sleep(0.05)
            yield url
        finally:
            server.kill()
            server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
