"""The supervisor of one endpoint: a process that reconciles the endpoint with its spec until the spec is removed.

It holds the listening socket, which every replica inherits, and outlives the worker that started it. When it dies, its
replicas exit. The next call of the cluster adapter launches another one, on the same port if that is free.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path

from workers.platforms.embedded.cluster.autoscaler import Behaviour, History, Measurement, decide, mean_cpu_percent
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles, EndpointStatus, ScalingEvent, Spec
from workers.platforms.embedded.cluster.fleet import Fleet
from workers.platforms.embedded.cluster.replica import IMPORT_ROOT
from workers.platforms.serving.acceptor import address_of, listen

TICK_S = 0.1
"""Interval between reconciliations: feels immediate to a person, for 0.6 % of a core."""
PORT_TIMEOUT_S = 5.0
"""Time to wait for the port of a dead supervisor, until its replicas have exited."""
_LOG_BYTES = 1_000_000
_MAX_EVENTS = 20

log = logging.getLogger("supervisor")


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisorTiming:
    """Intervals and deadlines of the supervisor, in seconds.

    * `sync_period_s`: interval between decisions of the autoscaler. Default 3 s. Kubernetes' 15 s allow for collecting
      metrics from every node; here they take a millisecond, and a replica starts in a second. CPU time is counted in
      hundredths of a second, so a shorter period would measure small loads too coarsely.
    * `scale_down_window_s`: default 300 s, as in Kubernetes.
    * `ready_deadline_s`: time that a replica may take to load and answer. Default 30 s, for a busy machine.
    """

    sync_period_s: float = 3.0
    scale_down_window_s: float = 300.0
    ready_deadline_s: float = 30.0


class Supervisor:
    """The control loop of one endpoint."""

    def __init__(
        self, *, files: EndpointFiles, listener: socket.socket, last: EndpointStatus | None, timing: SupervisorTiming
    ) -> None:
        self._files = files
        self._address = address_of(listener)
        self._timing = timing
        self._behaviour = Behaviour(scale_down_window_s=timing.scale_down_window_s)
        self._fleet = Fleet(listener_fd=listener.fileno(), ready_deadline_s=timing.ready_deadline_s)
        self._count = last.desired if last else 0
        self._events = last.events if last else ()
        self._history = History()
        self._cpu_percent: float | None = None
        self._synced_at_s = time.monotonic()
        self._written: EndpointStatus | None = None

    def run(self) -> None:
        """Reconcile until the endpoint is removed and its last replica has exited."""
        while True:
            spec = self._files.read_spec()
            if spec is None or spec.removed:
                self._fleet.drain_all()
                if not self._fleet.replicas:
                    return
            else:
                bounds = spec.desired.bounds
                count = min(max(self._count, bounds.minimum), bounds.maximum)
                self._set_count(count, f"replicas set to {bounds}")
                self._fleet.reconcile(spec.desired, self._count)
                if time.monotonic() - self._synced_at_s >= self._timing.sync_period_s:
                    self._sync(spec)
                self._write_status(spec)
            time.sleep(TICK_S)

    def _sync(self, spec: Spec) -> None:
        self._synced_at_s = time.monotonic()
        for replica in self._fleet.replicas:
            replica.measure_cpu(spec.desired.cpu_request_cores)
        current = self._fleet.current
        measurements = [Measurement(cpu_percent=item.cpu_percent, ready=item.state == "ready") for item in current]
        self._cpu_percent = mean_cpu_percent(measurements)
        if spec.desired.bounds.fixed or not self._fleet.settled:
            return
        decision = decide(
            current=self._count,
            bounds=spec.desired.bounds,
            target_percent=spec.desired.cpu_target_percent,
            measurements=measurements,
            history=self._history,
            now_s=self._synced_at_s,
            behaviour=self._behaviour,
        )
        self._history = decision.history
        self._set_count(decision.replicas, decision.reason)

    def _set_count(self, count: int, reason: str) -> None:
        if count == self._count:
            return
        log.info("replicas %d → %d: %s", self._count, count, reason)
        event = ScalingEvent(at_s=time.time(), before=self._count, after=count, reason=reason)
        self._events = (*self._events, event)[-_MAX_EVENTS:]
        self._count = count

    def _write_status(self, spec: Spec) -> None:
        fleet = self._fleet
        updated = sum(replica.state == "ready" for replica in fleet.current)
        old = [replica for replica in fleet.old if replica.state == "ready"]
        status = EndpointStatus(
            pid=os.getpid(),
            address=self._address,
            observed_generation=spec.generation,
            version=old[0].version if old else spec.desired.version,
            ready=max(updated, len(old)),
            updated=updated,
            desired=self._count,
            rolled_out=updated == self._count and fleet.settled,
            cpu_percent=None if self._cpu_percent is None else round(self._cpu_percent, 1),
            crashes=fleet.crashes,
            trouble=fleet.trouble,
            replicas=tuple(replica.status() for replica in fleet.replicas),
            events=self._events,
        )
        if status != self._written:
            try:
                self._files.write_status(status)
                self._written = status
            except OSError:  # such as a full disk: continue to serve, retry at the next step, and log once
                if self._written is not None:
                    log.exception("the status cannot be written")
                self._written = None


def launch_supervisor(files: EndpointFiles, timing: SupervisorTiming) -> None:
    """Start the endpoint's supervisor unless one lives. It outlives this process.

    Concurrent calls start one supervisor: this process acquires its lock, and the child inherits it.
    """
    lock = files.acquire_supervisor_lock()
    if lock is None:
        return
    with lock, files.supervisor_error.open("wb") as output:
        if last := files.read_status():  # do not report the replicas of a dead supervisor as ready
            trouble = "The endpoint's supervisor had ended. It has been started again."
            down = replace(last, ready=0, updated=0, rolled_out=False, cpu_percent=None, replicas=())
            files.write_status(replace(down, trouble=trouble))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "workers.platforms.embedded.cluster.supervisor"),
                *("--folder", str(files.folder)),
                *("--lock-fd", str(lock.fileno())),
                *("--timing", json.dumps(asdict(timing))),
            ],
            cwd=IMPORT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # signals to the worker or its terminal do not reach the supervisor
        )
    # Reap the supervisor if it ends before this process does.
    threading.Thread(target=process.wait, name="supervisor", daemon=True).start()


def main() -> None:
    """Supervise the endpoint in --folder. The inherited lock is held until this process ends."""
    parser = argparse.ArgumentParser(prog="python -m workers.platforms.embedded.cluster.supervisor")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    parser.add_argument("--timing", type=json.loads, required=True)
    arguments = parser.parse_args()
    folder, lock_fd, timing = arguments.folder, arguments.lock_fd, SupervisorTiming(**arguments.timing)

    # Replicas must not inherit the lock: it would outlive this process.
    fcntl.fcntl(lock_fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    # The terminal's Ctrl-C is meant for the worker. Only its spec ends an endpoint.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    files = EndpointFiles(folder)
    handler = RotatingFileHandler(files.supervisor_log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    last = files.read_status()
    with contextlib.closing(_listen_on_last_port(last)) as listener:
        log.info("supervisor %d of %s starts at %s", os.getpid(), folder, address_of(listener))
        try:
            Supervisor(files=files, listener=listener, last=last, timing=timing).run()
        except Exception:
            log.exception("the supervisor has failed")
            raise
        log.info("supervisor %d ends", os.getpid())


def _listen_on_last_port(last: EndpointStatus | None) -> socket.socket:
    """Return the listening socket, on the last supervisor's port if that becomes free."""
    if last is None:
        return listen(0)
    port = int(last.address.rpartition(":")[2])
    deadline_s = time.monotonic() + PORT_TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            return listen(port)
        except OSError:
            time.sleep(0.05)
    return listen(0)


if __name__ == "__main__":
    main()
