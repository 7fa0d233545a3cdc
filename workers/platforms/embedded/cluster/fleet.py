"""The replicas of one endpoint, reconciled step by step with a desired count of a desired template.

The rules are a Deployment's with maxUnavailable 0 and maxSurge 100 %
(https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment): old replicas drain
once all new ones are ready. A replica that crashes is replaced after a delay that doubles.
"""

import logging
import os
import time

from workers.platforms.embedded.cluster.endpoint_files import DesiredState
from workers.platforms.embedded.cluster.replica import Replica

MIN_RESTART_DELAY_S = 0.2
MAX_RESTART_DELAY_S = 10.0
"""Delay between a crash and its replacement, doubling from the minimum to the maximum.

kubelet's 10 s to 5 min (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy) protect a
node with a hundred pods. Here a replica starts in under a second, and a person is waiting.
"""
MAX_STARTING = max(1, os.cpu_count() or 1)
"""Replicas that start at the same time. Starting is bound by CPU: more would only slow down those that serve."""
RESET_AFTER_S = 10.0
"""Healthy time after which the crash counter is reset."""
KILL_AFTER_S = 15.0
"""Time that a draining replica may take: longer than its own timeouts (serving.server)."""

log = logging.getLogger("supervisor")


class Fleet:
    """Replica processes that share one listening socket.

    `crashes` counts consecutive unexpected ends of replicas of the desired template, including starts that took longer
    than `ready_deadline_s`. `trouble` describes the last one.
    """

    def __init__(self, *, listener_fd: int, ready_deadline_s: float) -> None:
        self.replicas: list[Replica] = []
        self.crashes = 0
        self.trouble = ""
        self._listener_fd = listener_fd
        self._ready_deadline_s = ready_deadline_s
        self._template = ""
        self._crashed_at_s = 0.0
        self._next_start_s = 0.0

    def reconcile(self, desired: DesiredState, count: int) -> None:
        """Take the next steps towards `count` ready replicas of `desired` and no others."""
        if desired.template != self._template:
            self._template = desired.template
            self.crashes, self.trouble, self._next_start_s = 0, "", 0.0
        self._read_and_reap()
        self._start_missing(desired, count)
        self._drain_surplus(count)
        self._reset_crashes(count)

    def drain_all(self) -> None:
        """Take the next steps towards no replicas."""
        self._read_and_reap()
        for replica in self._staying():
            replica.drain()

    @property
    def current(self) -> list[Replica]:
        """The replicas of the desired template that are not draining."""
        return [replica for replica in self._staying() if replica.template == self._template]

    @property
    def old(self) -> list[Replica]:
        """The replicas of other templates that are not draining yet."""
        return [replica for replica in self._staying() if replica.template != self._template]

    @property
    def settled(self) -> bool:
        """True if only replicas in `current` accept connections."""
        return not self.old and not any(item.accepting for item in self.replicas if item.state == "draining")

    def _staying(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.state != "draining"]

    def _read_and_reap(self) -> None:
        for replica in list(self.replicas):
            ended = replica.ended()
            for line in replica.read_output():
                log.info("replica %d: %s", replica.pid, line)
            if ended is not None:
                self.replicas.remove(replica)
                replica.close()
                log.info("replica %d (v%d) has ended: %s", replica.pid, replica.version, ended)
                if replica.state != "draining":
                    self._record_crash(replica, f"ended with {ended}")
            elif self._overdue(replica):
                replica.kill()

    def _overdue(self, replica: Replica) -> bool:
        now_s = time.monotonic()
        if replica.state == "starting":
            return now_s - replica.started_at_s > self._ready_deadline_s
        return replica.state == "draining" and now_s - replica.draining_since_s > KILL_AFTER_S

    def _record_crash(self, replica: Replica, cause: str) -> None:
        if replica.template != self._template:
            return
        if replica.state == "starting" and self._overdue(replica):
            cause = f"was not ready within {self._ready_deadline_s:g} s"
        output = " ".join(replica.last_lines)
        self._count_crash(f"A replica of v{replica.version} {cause}{': ' + output if output else '.'}")

    def _count_crash(self, trouble: str) -> None:
        self.trouble = trouble
        self._crashed_at_s = time.monotonic()
        self._next_start_s = self._crashed_at_s + min(MIN_RESTART_DELAY_S * 2**self.crashes, MAX_RESTART_DELAY_S)
        self.crashes += 1

    def _start_missing(self, desired: DesiredState, count: int) -> None:
        if time.monotonic() < self._next_start_s:
            return
        starting = sum(replica.state == "starting" for replica in self.replicas)
        for _ in range(min(count - len(self.current), MAX_STARTING - starting)):
            try:
                replica = Replica(
                    folder=desired.folder,
                    model=desired.model,
                    version=desired.version,
                    listener_fd=self._listener_fd,
                    template=desired.template,
                    sample=desired.sample,
                )
            except OSError as error:  # out of memory or processes: the other replicas must continue to serve
                self._count_crash(f"A replica of v{desired.version} cannot be started: {error.strerror}.")
                return
            self.replicas.append(replica)
            log.info("replica %d (v%d) starts", replica.pid, replica.version)

    def _drain_surplus(self, count: int) -> None:
        current = self.current
        surplus = self.old if sum(replica.state == "ready" for replica in current) >= count else []
        # First the ones that are not ready, then the youngest, as in a ReplicaSet.
        youngest_first = sorted(current, key=lambda item: (item.state == "ready", -item.started_at_s))
        surplus += youngest_first[: max(0, len(current) - count)]
        for replica in surplus:
            log.info("replica %d (v%d) drains", replica.pid, replica.version)
            replica.drain()

    def _reset_crashes(self, count: int) -> None:
        ready = sum(replica.state == "ready" for replica in self.current)
        if self.trouble and ready >= count and time.monotonic() - self._crashed_at_s > RESET_AFTER_S:
            self.crashes, self.trouble = 0, ""
