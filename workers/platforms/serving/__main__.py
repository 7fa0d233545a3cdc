"""One replica: `python -m workers.platforms.serving [--folder DIR --model NAME --version N] [--port N | --fd N]`.

Without a folder it runs as the process of a container with tensorflow/serving's layout: it serves the newest version in
MODEL_BASE_PATH/MODEL_NAME (/models/model); https://www.tensorflow.org/tfx/serving/docker.

It prints "ready" once it answers requests and "draining" once it stops accepting. On SIGTERM it drains and exits.
With --supervised, the first line of standard input is a predict request that must succeed before the replica is ready,
and the end of standard input, which is the supervisor's death, makes it drain and exit.
"""

import argparse
import gc
import os
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

from workers.platforms.serving.acceptor import address_of, listen
from workers.platforms.serving.rest import RestApi
from workers.platforms.serving.servable import ModelFailed, Servable
from workers.platforms.serving.server import ReplicaServer
from workers.platforms.serving.signature import UnusableModel
from workers.platforms.serving.tensors import InvalidRequest


def main() -> None:
    """Serve until stopped. Exits with 1 and one line on standard error if the model cannot be served."""
    arguments = _arguments()
    try:
        folder, model, version = _choose_version(arguments)
        servable = Servable(folder)
        if arguments.supervised and (warm_up := sys.stdin.buffer.readline().strip()):
            servable.predict(warm_up)
        shared = arguments.fd is not None
        listener = socket.socket(fileno=arguments.fd) if shared else listen(arguments.port, arguments.host)
    except UnusableModel as error:
        _exit(str(error))
    except (InvalidRequest, ModelFailed) as error:
        _exit(f"The model fails on its sample: {error}")
    except OSError as error:
        _exit(f"Cannot listen: {error}")
    address = address_of(listener)
    server = ReplicaServer(
        RestApi(model=model, version=version, servable=servable),
        shared=shared,
        announce=lambda word: print(word, address, flush=True),
    )
    if arguments.supervised:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    gc.freeze()  # everything loaded so far lives as long as the process: the collector need not scan it
    server.run([listener])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.platforms.serving", description="Serve one model.")
    parser.add_argument("--folder", type=Path, help="holds model.onnx and signature.json, or BigQuery ML's model.bst")
    parser.add_argument("--model", default="model", help="the name in /v1/models/NAME")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1", help="default: loopback only")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--port", type=int, default=0, help="0, the default: any free port")
    source.add_argument("--fd", type=int, help="an inherited listening socket, which other replicas may share")
    parser.add_argument("--supervised", action="store_true", help="exit at the end of standard input")
    return parser.parse_args()


def _choose_version(arguments: argparse.Namespace) -> tuple[Path, str, int]:
    """Return folder, model and version, from the arguments or, without a folder, from a container's environment."""
    if arguments.folder is not None:
        return arguments.folder, arguments.model, arguments.version
    model = os.environ.get("MODEL_NAME") or "model"
    versions = Path(os.environ.get("MODEL_BASE_PATH") or "/models") / model
    found = [path for path in versions.glob("*") if path.is_dir() and path.name.isdecimal()]
    if not found:
        raise UnusableModel(f"{versions} has no version of a model: a folder named by a number.")
    newest = max(found, key=lambda path: int(path.name))
    return newest, model, int(newest.name)


def _stop_at_end_of_input(server: ReplicaServer) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.should_exit = True


def _exit(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
