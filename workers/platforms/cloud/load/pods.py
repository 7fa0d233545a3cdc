"""Pods of one load test: waits until all workers have joined the master, then watches the master's pod."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from time import monotonic
from typing import Self

from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.objects import Object, Objects
from workers.platforms.cloud.kubernetes.pods import Trouble, creation_trouble, pod_trouble
from workers.platforms.cloud.kubernetes.watch import Watched
from workers.platforms.cloud.load.manifests import COMPONENT, CONTAINER, Attempt
from workers.platforms.protocols import Progress
from workers.platforms.swarm import FUTURE, MasterClient

_POLL_S = 0.5
_TOO_EARLY = "A load process ended before it was ready."


@dataclass(kw_only=True)
class LoadPods:
    """Pods of an attempt; create it with `watched`."""

    api: Api
    pods: Watched
    deployments: Watched
    master: MasterClient
    _master_error: str = ""

    @classmethod
    @contextmanager
    def watched(cls, api: Api, attempt: Attempt, *, master: MasterClient) -> Iterator[Self]:
        """Watch the pods of `attempt` inside the context."""
        with (
            api.watch("Pod", labels=attempt.selector) as pods,
            api.watch("Deployment", labels=attempt.selector) as deployments,
        ):
            yield cls(api=api, pods=pods, deployments=deployments, master=master)

    def await_all(self, workers: int, *, progress: Progress, patience_s: float) -> None:
        """Wait until all workers have joined the master; log obstacles.

        Raises PermanentError, with the cluster's own words, if they cannot join or do not within `patience_s`.
        """
        logged: set[str] = set()
        gives_up_at_s = monotonic() + patience_s
        while (joined := self._joined()) < workers:
            self._check(self.pods.now(), _TOO_EARLY)
            troubles = self._troubles()
            for trouble in troubles:
                if trouble.permanent:
                    raise PermanentError(f"Locust does not start. {trouble.message}")
                if trouble.message not in logged:
                    logged.add(trouble.message)
                    progress.log(trouble.message)
            if monotonic() > gives_up_at_s:
                words = " ".join(trouble.message for trouble in troubles) or self._master_error
                raise PermanentError(
                    f"Only {joined} of {workers} load workers joined within {patience_s:g} s. {words}".strip(),
                    advice="Each load worker requests a core. Add nodes to the cluster, or test at a lower rate.",
                )
            progress.report(joined, workers, fact=f"{joined} of {workers} load workers ready")
            progress.wait(_POLL_S)
        self._check(self.pods.now(), _TOO_EARLY)  # a restarted worker has the wrong share of the rate

    def watch(self) -> None:
        """Raise PermanentError, with its last log lines, if the master's pod has ended, is terminating or is gone.

        If a worker ends, the others take over its share, and the result reports it.
        """
        masters = [pod for pod in self.pods.now() if pod["metadata"]["labels"][COMPONENT] == "master"]
        if not masters:
            raise PermanentError("The load test's master ended during the test: its pod is gone.")
        self._check(masters, "The load test's master ended during the test.")

    def _joined(self) -> int:
        try:
            joined, self._master_error = self.master.status(since=FUTURE).workers, ""
        except (OSError, HTTPException, ValueError) as error:
            joined, self._master_error = 0, f"Locust's master does not answer: {error}."
        return joined

    def _troubles(self) -> list[Trouble]:
        found = [*map(pod_trouble, self.pods.now())]
        found += (creation_trouble(deployment, "Load pods") for deployment in self.deployments.now())
        return [trouble for trouble in found if trouble]

    def _check(self, pods: Objects, message: str) -> None:
        """Raise PermanentError, with the cluster's words and the last log lines, if one of the pods has ended."""
        for pod in filter(_has_ended, pods):
            trouble, log = pod_trouble(pod), self.api.log_end(pod["metadata"]["name"], CONTAINER)
            raise PermanentError("\n".join(filter(None, (message, trouble.message if trouble else "", log))))


def _has_ended(pod: Object) -> bool:
    """Return True if a container of the pod has ended, even if it runs again, or if the pod is terminating."""
    status = pod.get("status", {})
    containers = status.get("containerStatuses", ())
    ended = any(each.get("restartCount") or "terminated" in each.get("state", {}) for each in containers)
    return ended or "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Failed"
