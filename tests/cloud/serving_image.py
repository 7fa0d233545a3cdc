"""Our serving image without a base image: the Dockerfile's target `serving` on this machine's Python.

The copied files, environment, user and entry point come from the Dockerfile. Every file that a serving process of this
machine has open replaces python:slim and pip.
"""

import io
import json
import os
import re
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import Request, urlopen

from bot.demo import processes
from tests.cloud.docker_peers import LABEL, DockerEnvironment
from tests.platforms.test_serving_booster import RED, export

ROOT = Path(__file__).parents[2]
_STDLIB, _SITE = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("platlib"))
_HOME = Path("/python")
_PACKAGES = _HOME / "lib" / _STDLIB.name / "site-packages"
_NOT_IN_THE_IMAGE = ("sklearn", "pandas", "pyarrow")
"""A package that xgboost uses if it is installed, like here."""
_BELOW = f"""\
FROM scratch
COPY closure/ /
ENV PATH={_HOME}/bin PYTHONHOME={_HOME} PYTHONPATH={_PACKAGES} LD_LIBRARY_PATH={_HOME}/lib
WORKDIR /app
"""


def build_serving_image(docker_environment: DockerEnvironment, folder: Path) -> str:
    """Build the image on the engine and return its name. `folder` is for temporary files."""
    name = docker_environment.base("seatrial-serving")
    with tempfile.TemporaryFile() as context:
        with tarfile.open(fileobj=context, mode="w") as tar:
            _add(tar, "Dockerfile", content=_dockerfile(docker_environment.registry.address).encode())
            for source, destination in _closure(folder).items():
                _add(tar, f"closure{destination}", content=Path(source).read_bytes())
            for path in sorted((ROOT / "workers").rglob("*.py")):
                _add(tar, path.relative_to(ROOT).as_posix(), content=path.read_bytes())
        context.seek(0)
        built = docker_environment.engine.build(
            fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True, decode=True
        )
        said = list(built)
    assert not any("error" in message for message in said), said
    return name


def _dockerfile(address: str) -> str:
    """Return the target without the steps that need a network, on one of the base images."""
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    (stage,) = (stage for stage in stages if stage.startswith("base AS serving\n"))
    kept = ("COPY ", "ENV ", "EXPOSE ", "USER ", "ENTRYPOINT ")
    mine = "".join(line for line in stage.splitlines(keepends=True) if line.startswith(kept))
    return f"{_BELOW}{mine}LABEL {LABEL}={address}\n"


def _closure(folder: Path) -> Mapping[str, str]:
    """Return the files of this machine by their place in the image."""
    found: dict[str, str] = {}
    for file in _open_files(folder):
        if file.is_relative_to(_SITE):
            found[str(file)] = str(_PACKAGES / file.relative_to(_SITE))
        elif file.is_relative_to(_STDLIB):
            found[str(file)] = str(_HOME / "lib" / _STDLIB.name / file.relative_to(_STDLIB))
        elif ".so" in file.name:
            # Programs ask for a library by its short name, which is a link to the file.
            names = {link for link in file.parent.iterdir() if link.resolve() == file}
            found |= {str(link): str(_HOME / "lib" / link.name) for link in names}
    python = os.path.realpath(sys.executable)
    return found | {python: str(_HOME / "bin" / "python")} | {str(loader): str(loader) for loader in _loaders(python)}


def _loaders(python: str) -> Iterator[Path]:
    """Return the program loaders of the interpreter, like /lib64/ld-linux-x86-64.so.2."""
    if match := re.search(rb"/lib[\w/]*/ld-[\w.-]+\.so\.\d+", Path(python).read_bytes()):
        yield Path(match[0].decode())


def _open_files(folder: Path) -> set[Path]:
    """Return the Python files and libraries of a serving process that has answered a request."""
    absent = folder / "absent"
    absent.mkdir()
    for package in _NOT_IN_THE_IMAGE:
        (absent / f"{package}.py").write_text("raise ImportError\n")
    port = processes.free_port()
    command = processes.python("-v", "-m", "workers.platforms.serving", "--folder", str(export(folder / "booster")))
    environ = {**os.environ, "PYTHONPATH": f"{absent}:{ROOT}"}
    with processes.process("serving", [*command, "--port", str(port)], folder=folder, environ=environ) as running:
        processes.await_port(running, port, name="serving", folder=folder)
        question = json.dumps({"instances": [RED]}).encode()
        urlopen(Request(f"http://127.0.0.1:{port}/v1/models/model:predict", data=question), timeout=60).close()
        mapped = Path(f"/proc/{running.pid}/maps").read_text()
    said = (folder / "serving.log").read_text()
    imported = re.findall(r"(?:matches|loaded from|code object from) '?(/[^'\n]+\.(?:py|so))'?", said)
    # What a package reads of its own when it is imported, like xgboost's VERSION, is closed again.
    folders = {Path(name).parent for name in imported if name.startswith(str(_SITE))}
    beside = {file for folder in folders for file in folder.glob("[A-Z]*[A-Z]")}
    found = {*map(Path, imported), *map(Path, re.findall(r"(/\S+)$", mapped, re.MULTILINE)), *beside}
    return {file for file in found if file.is_file()}


def _add(tar: tarfile.TarFile, name: str, *, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(content)
    tar.addfile(entry, io.BytesIO(content))
