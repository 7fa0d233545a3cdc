"""The replicas of one endpoint: brought to a wanted count of a wanted template, one small step a call.

The rules are a Deployment's with maxUnavailable 0 and maxSurge 100 %
(https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment): new replicas come
first, old ones go once all new ones are ready. A replica that ends by itself is replaced after a delay that doubles.
"""

import logging
import os
import time

from workers.platforms.embedded.cluster.endpoint_files import Desired
from workers.platforms.embedded.cluster.replica import Replica

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
"""Between a crash and its replacement, doubling from the first to the longest.

kubelet's 10 s to 5 min (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy) spare a node
with a hundred pods; a replica here starts in under a second, and a person waits in the channel.
"""

STARTING_AT_ONCE = max(1, os.cpu_count() or 1)
"""Starting is all CPU: more at once would be ready no sooner and take it from those that serve."""

HEALTHY_AFTER_S = 10.0
"""How long all must have been well after a crash before it is forgotten."""

KILL_AFTER_S = 15.0
"""How long a draining replica may take: longer than its own longest patience (serving.server)."""

log = logging.getLogger("supervisor")


class Fleet:
    """Replica processes that share one listening socket.

    `crashes` counts ends in a row of replicas of the wanted template that nobody asked for, and starts that took
    longer than `ready_deadline_s`; `trouble` tells of the last one.
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

    def tend(self, desired: Desired, count: int) -> None:
        """Take the next steps towards `count` ready replicas of `desired`, and none of anything else."""
        if desired.template != self._template:
            self._template = desired.template
            self.crashes, self.trouble, self._next_start_s = 0, "", 0.0
        self._hear_and_reap()
        self._start_missing(desired, count)
        self._retire(count)
        self._forget_old_trouble(count)

    def drain_all(self) -> None:
        """Take the next steps towards no replicas at all."""
        self._hear_and_reap()
        for replica in self._staying():
            replica.drain()

    @property
    def current(self) -> list[Replica]:
        """The replicas of the wanted template that are to stay."""
        return [replica for replica in self._staying() if replica.template == self._template]

    @property
    def old(self) -> list[Replica]:
        """The replicas of other templates that have not been told to leave yet."""
        return [replica for replica in self._staying() if replica.template != self._template]

    @property
    def settled(self) -> bool:
        """Whether every replica that accepts connections is one that is to stay."""
        return not self.old and not any(item.accepting for item in self.replicas if item.state == "draining")

    def _staying(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.state != "draining"]

    def _hear_and_reap(self) -> None:
        for replica in list(self.replicas):
            ended = replica.ended()
            for line in replica.hear():
                log.info("replica %d: %s", replica.pid, line)
            if ended is not None:
                self.replicas.remove(replica)
                replica.close()
                log.info("replica %d (v%d) has ended: %s", replica.pid, replica.version, ended)
                if replica.state != "draining":
                    self._crashed(replica, f"ended with {ended}")
            elif self._overdue(replica):
                replica.kill()

    def _overdue(self, replica: Replica) -> bool:
        now_s = time.monotonic()
        if replica.state == "starting":
            return now_s - replica.started_at_s > self._ready_deadline_s
        return replica.state == "draining" and now_s - replica.draining_since_s > KILL_AFTER_S

    def _crashed(self, replica: Replica, how: str) -> None:
        if replica.template != self._template:
            return
        if replica.state == "starting" and self._overdue(replica):
            how = f"was not ready within {self._ready_deadline_s:g} s"
        words = " ".join(replica.last_lines)
        self._count_crash(f"A replica of v{replica.version} {how}{': ' + words if words else '.'}")

    def _count_crash(self, trouble: str) -> None:
        self.trouble = trouble
        self._crashed_at_s = time.monotonic()
        self._next_start_s = self._crashed_at_s + min(FIRST_DELAY_S * 2**self.crashes, LONGEST_DELAY_S)
        self.crashes += 1

    def _start_missing(self, desired: Desired, count: int) -> None:
        if time.monotonic() < self._next_start_s:
            return
        starting = sum(replica.state == "starting" for replica in self.replicas)
        for _ in range(min(count - len(self.current), STARTING_AT_ONCE - starting)):
            try:
                replica = Replica(desired, listener_fd=self._listener_fd)
            except OSError as error:  # no memory or no process left: the others are to serve on
                self._count_crash(f"A replica of v{desired.version} cannot be started: {error.strerror}.")
                return
            self.replicas.append(replica)
            log.info("replica %d (v%d) starts", replica.pid, replica.version)

    def _retire(self, count: int) -> None:
        current = self.current
        leaving: list[Replica] = []
        if sum(replica.state == "ready" for replica in current) >= count:
            leaving = self.old
        # The ones that serve nobody yet go first, then the youngest, as a ReplicaSet's pods do.
        youngest_first = sorted(current, key=lambda item: (item.state == "ready", -item.started_at_s))
        leaving += youngest_first[: max(0, len(current) - count)]
        for replica in leaving:
            log.info("replica %d (v%d) is told to leave", replica.pid, replica.version)
            replica.drain()

    def _forget_old_trouble(self, count: int) -> None:
        ready = sum(replica.state == "ready" for replica in self.current)
        if self.trouble and ready >= count and time.monotonic() - self._crashed_at_s > HEALTHY_AFTER_S:
            self.crashes, self.trouble = 0, ""
