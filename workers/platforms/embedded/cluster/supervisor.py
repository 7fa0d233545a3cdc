"""The supervisor of one endpoint: a process that makes what is like what is wanted, until nothing is wanted.

It holds the endpoint's listening socket, which every replica inherits, and outlives the worker that started it. When it
dies, its replicas leave; the next call of the cluster adapter starts another, on the same port where that is free.
"""

import argparse
import contextlib
import fcntl
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from workers.platforms.embedded.cluster.autoscaler import Behaviour, History, Measurement, decide, mean_cpu_percent
from workers.platforms.embedded.cluster.endpoint_files import EndpointFiles, EndpointStatus, ScalingEvent, Spec
from workers.platforms.embedded.cluster.fleet import Fleet
from workers.platforms.serving.acceptor import address_of, listen

TICK_S = 0.1
"""How often the world is compared with the wish: what a person takes for at once, for 0.6 % of a core."""

PORT_PATIENCE_S = 5.0
"""How long a dead supervisor's port is waited for: its replicas leave it within moments."""

_LOG_BYTES = 1_000_000
_EVENTS_KEPT = 20

log = logging.getLogger("supervisor")


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisorTiming:
    """How the supervisor keeps time, in seconds.

    `sync_period_s`: between the autoscaler's decisions. Kubernetes takes 15 s, as it collects its metrics from every
    node; here they are read in a millisecond and a replica is there in a second. Default 3 s: CPU time is counted in
    hundredths of a second, of which a small request then still fills a dozen.
    `scale_down_window_s`: default 300 s, Kubernetes' own.
    `ready_deadline_s`: how long a replica may take to load and answer. Default 30 s, for a busy machine.
    """

    sync_period_s: float = 3.0
    scale_down_window_s: float = 300.0
    ready_deadline_s: float = 30.0


class Supervisor:
    """Brings one endpoint to its spec and keeps it there."""

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
        """Return once the endpoint is removed and its last replica has left."""
        while True:
            spec = self._files.read_spec()
            if spec is None or spec.removed:
                self._fleet.drain_all()
                if not self._fleet.replicas:
                    return
            else:
                self._keep_count_in_bounds(spec)
                self._fleet.tend(spec.desired, self._count)
                if time.monotonic() - self._synced_at_s >= self._timing.sync_period_s:
                    self._sync(spec)
                self._write_status(spec)
            time.sleep(TICK_S)

    def _keep_count_in_bounds(self, spec: Spec) -> None:
        bounds = spec.desired.bounds
        count = min(max(self._count, bounds.minimum), bounds.maximum)
        self._set_count(count, f"replicas set to {bounds}")

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
        self._events = (*self._events, event)[-_EVENTS_KEPT:]
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
            except OSError:  # a full disk is no reason to stop serving: tried again at the next step, and said once
                if self._written is not None:
                    log.exception("the status cannot be written")
                self._written = None


def main() -> None:
    """Supervise the endpoint in --folder. Its lock is inherited as a descriptor and is held until this process ends."""
    parser = argparse.ArgumentParser(prog="python -m workers.platforms.embedded.cluster.supervisor")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    parser.add_argument("--sync-period-s", type=float, required=True)
    parser.add_argument("--scale-down-window-s", type=float, required=True)
    parser.add_argument("--ready-deadline-s", type=float, required=True)
    arguments = vars(parser.parse_args())
    folder, lock_fd = arguments.pop("folder"), arguments.pop("lock_fd")

    # Inherited, and not to be handed on: a replica that held it would pass for a living supervisor.
    fcntl.fcntl(lock_fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    # The terminal's Ctrl-C is meant for the worker: an endpoint ends by its spec alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    files = EndpointFiles(folder)
    _log_to(files.supervisor_log)
    last = files.read_status()
    with contextlib.closing(_listen_again(last)) as listener:
        log.info("supervisor %d of %s begins at %s", os.getpid(), folder, address_of(listener))
        try:
            Supervisor(files=files, listener=listener, last=last, timing=SupervisorTiming(**arguments)).run()
        except Exception:
            log.exception("the supervisor has failed")
            raise
        log.info("supervisor %d ends", os.getpid())


def _listen_again(last: EndpointStatus | None) -> socket.socket:
    """The listening socket, on the port of the supervisor before where there was one and the port comes free."""
    if last is None:
        return listen(0)
    port = int(last.address.rpartition(":")[2])
    gives_up_at_s = time.monotonic() + PORT_PATIENCE_S
    while time.monotonic() < gives_up_at_s:
        try:
            return listen(port)
        except OSError:
            time.sleep(0.05)
    return listen(0)


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


if __name__ == "__main__":
    main()
