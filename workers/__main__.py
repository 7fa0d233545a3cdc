"""The worker's command line.

* `python -m workers`: run jobs until SIGTERM.
* `python -m workers down`: stop the endpoints on this machine.
* `python -m workers doctor`: check all that a worker needs.
* `python -m workers query "SELECT …"`: run a query in the warehouse of this machine.
"""

import logging
import os
import signal
import socket
import sys
import threading
import uuid

from workers.contract.queue import Catalogue, Claims, QueueUnavailable, Transport, connect as connect_redis
from workers.contract.settings import SettingsError
from workers.doctor import doctor
from workers.errors import JobError
from workers.inventory import Inventory
from workers.jobs import HANDLERS
from workers.platforms.connect import connect, take_down
from workers.platforms.protocols import Platforms
from workers.query import query
from workers.runner import Runner
from workers.settings import WorkerSettings, read_settings

logger = logging.getLogger("workers")


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand and return its exit status.

    0: stopped by a signal, or done. 1: `doctor` found a fault, `down` left an endpoint running, or a query is refused.
    2: the settings or the arguments are invalid.
    """
    words = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("dramatiq").setLevel(logging.WARNING)
    try:
        if words == ["doctor"]:
            return doctor(os.environ)
        if words[:1] == ["query"]:
            return query(words[1:], os.environ)
        settings = read_settings()
        if words == ["down"]:
            take_down(home=settings.home)
            return 0
        if words:
            print("usage: python -m workers [down|doctor|query]", file=sys.stderr)
            return 2
        return _work(settings)
    except SettingsError as error:
        print("The settings cannot be used:", *error.mistakes, sep="\n  ", file=sys.stderr)
        return 2
    except JobError as error:
        print(error, file=sys.stderr)
        return 1


def _work(settings: WorkerSettings) -> int:
    platforms = connect(settings)
    client = connect_redis(settings.redis_url)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    # The lease is shorter than the redelivery timeout, so a redelivered job finds its worker expired.
    claims = Claims(client, worker=name, lease_s=settings.lease_s / 2)
    transport = Transport(settings.redis_url, heartbeat_s=settings.lease_s)
    inventory = Inventory(platforms=platforms, catalogue=Catalogue(client))
    runner = Runner(claims=claims, handlers=HANDLERS, platforms=platforms, refresh=inventory.refresh)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not _prepare(claims, inventory, platforms, stop):
        return 0
    watching = threading.Thread(target=runner.watch, name="watch", daemon=True)
    watching.start()
    serving = transport.serve(runner.run, threads=settings.threads)
    logger.info("worker %s is ready for %d jobs at once", name, settings.threads)
    stop.wait()
    logger.info("stopping; running jobs have %g s", settings.grace_s)
    stopping = threading.Thread(target=runner.stop, args=(settings.grace_s,))
    stopping.start()
    serving.stop(timeout=int((settings.grace_s + 30) * 1000))
    stopping.join()
    # Without Redis a job's end cannot be written. Do not wait for it: another worker will take the job over.
    watching.join(timeout=5.0)
    return 0


def _prepare(claims: Claims, inventory: Inventory, platforms: Platforms, stop: threading.Event) -> bool:
    """Wait for Redis, then recover, publish the inventory, clean up and register. Return False if stopped before."""
    while not stop.is_set():
        try:
            claims.recover()
            inventory.publish_all()
            _sweep(platforms, claims)
            claims.heartbeat()
            return True
        except QueueUnavailable as error:
            logger.warning("waiting for Redis: %s", error)
            stop.wait(1.0)
    return False


def _sweep(platforms: Platforms, claims: Claims) -> None:
    """Remove the leftovers of dead workers' load tests from clusters and from this machine."""

    def ended(job_id: str) -> bool | None:
        record = claims.record(job_id)
        return record.final if record else None

    for environment, load in platforms.loads.items():
        try:
            load.sweep(ended=ended)
        except JobError as error:
            logger.warning("leftovers of load tests on %s could not be removed: %s", environment, error)


if __name__ == "__main__":
    sys.exit(main())
