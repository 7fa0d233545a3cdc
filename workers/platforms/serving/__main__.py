"""One replica: `python -m workers.platforms.serving [--folder DIR --model NAME --version N] [--port N | --fd N]`.

Without a folder it is the process of a container laid out as tensorflow/serving's: it serves the newest version of
MODEL_BASE_PATH/MODEL_NAME (/models/model); https://www.tensorflow.org/tfx/serving/docker.

Prints "ready" once it answers and "draining" once it accepts no more. SIGTERM lets it finish and leave.
With --supervised its standard input is its lifeline: the first line is a predict request that it must answer
before it is ready, and the end of input (the supervisor's death, however it came) is its own order to leave.
"""

import argparse
import gc
import os
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

from workers.platforms.serving.listener import address_of, listen
from workers.platforms.serving.rest import RestApi
from workers.platforms.serving.servable import ModelFailed, Servable
from workers.platforms.serving.server import ReplicaServer
from workers.platforms.serving.signature import UnusableModel
from workers.platforms.serving.tensors import InvalidRequest


def main() -> None:
    """Serve until told to leave. Exits with 1 and one line on standard error where the model cannot be served."""
    arguments = _arguments()
    try:
        folder, model, version = _what_to_serve(arguments)
        servable = Servable(folder)
        if arguments.supervised and (warm_up := sys.stdin.buffer.readline().strip()):
            servable.predict(warm_up)
        listener = (
            socket.socket(fileno=arguments.fd) if arguments.fd is not None else listen(arguments.port, arguments.host)
        )
    except UnusableModel as error:
        _give_up(str(error))
    except (InvalidRequest, ModelFailed) as error:
        _give_up(f"The model does not answer its sample: {error}")
    except OSError as error:
        _give_up(f"Cannot listen: {error}")
    address = address_of(listener)
    server = ReplicaServer(
        RestApi(model=model, version=version, servable=servable),
        shared=arguments.fd is not None,
        say=lambda word: print(word, address, flush=True),
    )
    if arguments.supervised:
        threading.Thread(target=_leave_at_end_of_input, args=(server,), daemon=True).start()
    gc.freeze()  # what is loaded by now lives as long as the process: no collection need look at it again
    server.run([listener])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.platforms.serving", description="Serve one model.")
    parser.add_argument("--folder", type=Path, help="holds model.onnx and signature.json, or BigQuery ML's model.bst")
    parser.add_argument("--model", default="model", help="the name in /v1/models/NAME")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1", help="default: loopback only")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=0, help="0, the default: any free one")
    where.add_argument("--fd", type=int, help="an inherited listening socket, which others may have too")
    parser.add_argument("--supervised", action="store_true", help="standard input is the lifeline")
    return parser.parse_args()


def _what_to_serve(arguments: argparse.Namespace) -> tuple[Path, str, int]:
    """Folder, model and version, from the arguments or, without a folder there, from a container's environment."""
    if arguments.folder is not None:
        return arguments.folder, arguments.model, arguments.version
    model = os.environ.get("MODEL_NAME") or "model"
    versions = Path(os.environ.get("MODEL_BASE_PATH") or "/models") / model
    found = [path for path in versions.glob("*") if path.is_dir() and path.name.isdecimal()]
    if not found:
        raise UnusableModel(f"{versions} holds no version of a model: a folder whose name is a number.")
    newest = max(found, key=lambda path: int(path.name))
    return newest, model, int(newest.name)


def _leave_at_end_of_input(server: ReplicaServer) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.should_exit = True


def _give_up(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
