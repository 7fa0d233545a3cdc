"""Embedded endpoint on one core, with one instance per request, compared with an empty response of its HTTP server.

wrk (https://github.com/wg/wrk) sends from another core; the two servers take turns.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.table import Row, show
from bot.demo.processes import await_port, free_port, process, python
from tests.platforms.progress import RecordedProgress
from workers.contract.settings import Model
from workers.contract.settings_reader import read_settings_file
from workers.platforms.embedded.warehouse.warehouse import EmbeddedWarehouse

ROUNDS = 3
ROUND_S = 5
CONNECTIONS = 32
GOAL = 0.5
_ANSWERED = re.compile(r"Requests/sec:\s+([0-9.]+)")


def run() -> None:
    """Measure and print a table, or report missing tools."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    missing = [name for name in ("wrk", "taskset") if shutil.which(name) is None]
    if missing or len(cores) < 2:
        what = f"{' and '.join(missing)} (Debian: apt-get install wrk util-linux)" if missing else "a second core"
        print(f"\nendpoint: skipped because it needs {what}.\n", flush=True)
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = read_settings_file(Path("seatrial.toml")).models["iris"]
        exported = _export(model, folder)
        script = _request(model, folder)
        serving = ["-m", "workers.platforms.serving", "--folder", str(exported), "--model", "iris", "--version", "1"]
        path = "/v1/models/iris:predict"
        with (
            _served(folder, "endpoint", cores[0], lambda port: python(*serving, "--port", str(port))) as endpoint,
            _served(folder, "empty", cores[0], lambda port: python("-m", "benchmarks.empty_app", str(port))) as empty,
        ):
            rates: dict[int, list[float]] = {endpoint: [], empty: []}
            for _ in range(ROUNDS):
                for port, found in rates.items():
                    found.append(_wrk(f"http://127.0.0.1:{port}{path}", script, core=cores[1]))
    predicted, base = median(rates[endpoint]), median(rates[empty])
    show(
        f"endpoint: iris on one core, wrk with {CONNECTIONS} connections on another, {ROUNDS} × {ROUND_S} s each",
        [
            Row(
                what="predictions, 1 instance a request",
                measured=f"{predicted:,.0f}/s",
                compared=f"empty ASGI answer {base:,.0f}/s",
                ratio=predicted / base,
                goal=f"≥ {GOAL:g}",
                reached=predicted / base >= GOAL,
            )
        ],
    )


def _export(model: Model, folder: Path) -> Path:
    """Train and export the model: model.onnx and signature.json."""
    warehouse = EmbeddedWarehouse(home=folder / "home", tables={})
    warehouse.train(model=model, version=1, progress=RecordedProgress())
    warehouse.export(model=model, version=1, to=str(folder / "exported"), progress=RecordedProgress())
    return folder / "exported"


def _request(model: Model, folder: Path) -> Path:
    """Write wrk's script with the request."""
    body = json.dumps({"instances": [dict(model.sample[0])]})
    script = folder / "predict.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['Content-Type'] = 'application/json'\n")
    return script


@contextmanager
def _served(folder: Path, name: str, core: int, command: Callable[[int], list[str]]) -> Iterator[int]:
    """Run a server on one core; yield its port."""
    port = free_port()
    pinned = ["taskset", "--cpu-list", str(core), *command(port)]
    with process(name, pinned, folder=folder, environ=os.environ) as running:
        await_port(running, port, name=name, folder=folder)
        yield port


def _wrk(url: str, script: Path, *, core: int) -> float:
    """Return the responses per second."""
    words = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(CONNECTIONS)]
    words += ["--duration", f"{ROUND_S}s", "--script", str(script), url]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output:
        print(f"wrk got error responses. The figures below are invalid:\n{output}")
    answered = _ANSWERED.search(output)
    return float(answered[1]) if answered else 0.0
