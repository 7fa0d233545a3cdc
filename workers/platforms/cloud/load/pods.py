"""Pods of one load test: waits until all workers have joined the master, then watches the master's pod."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from time import monotonic
from typing import Self

from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.kubernetes.objects import Object, condition
from workers.platforms.cloud.kubernetes.pods import Trouble, pod_trouble
from workers.platforms.cloud.kubernetes.watch import Watched
from workers.platforms.cloud.load.manifests import COMPONENT, CONTAINER, Attempt
from workers.platforms.protocols.progress import Progress
from workers.platforms.swarm import FUTURE, MasterClient

_POLL_S = 0.5


@dataclass(kw_only=True)
class LoadPods:
    """Pods of an attempt; create it with `watched`."""

    api: Api
    pods: Watched
    deployments: Watched
    workers: int
    master: MasterClient
    _master_error: str = ""
    _logged: set[str] = field(default_factory=set)

    @classmethod
    @contextmanager
    def watched(cls, api: Api, attempt: Attempt, *, workers: int, master: MasterClient) -> Iterator[Self]:
        """Watch the pods of `attempt` inside the context."""
        with (
            api.watch("Pod", labels=attempt.selector) as pods,
            api.watch("Deployment", labels=attempt.selector) as deployments,
        ):
            yield cls(api=api, pods=pods, deployments=deployments, workers=workers, master=master)

    def await_all(self, *, progress: Progress, patience_s: float) -> None:
        """Wait until all workers have joined the master; log obstacles.

        Raises PermanentError, with the cluster's own words, if they cannot join or do not within `patience_s`.
        """
        gives_up_at_s = monotonic() + patience_s
        while (joined := self._joined()) < self.workers:
            self._check_pods()
            troubles = self._troubles()
            for trouble in troubles:
                if trouble.permanent:
                    raise PermanentError(f"Locust does not start. {trouble.message}")
                if trouble.message not in self._logged:
                    self._logged.add(trouble.message)
                    progress.log(trouble.message)
            if monotonic() > gives_up_at_s:
                words = " ".join(trouble.message for trouble in troubles) or self._master_error
                raise PermanentError(
                    f"Only {joined} of {self.workers} load workers joined within {patience_s:g} s. {words}".strip(),
                    advice="Each load worker requests a core. Add nodes to the cluster, or test at a lower rate.",
                )
            progress.report(joined, self.workers, fact=f"{joined} of {self.workers} load workers ready")
            progress.wait(_POLL_S)
        self._check_pods()  # a restarted worker has the wrong share of the rate

    def watch(self) -> None:
        """Raise PermanentError, with its last log lines, if the master's pod has ended, is terminating or is gone.

        If a worker ends, the others take over its share, and the result reports it.
        """
        masters = [pod for pod in self.pods.now() if pod["metadata"]["labels"][COMPONENT] == "master"]
        if not masters:
            raise PermanentError("The load test's master ended during the test: its pod is gone.")
        for pod in masters:
            if _has_ended(pod):
                raise self._ended(pod, "The load test's master ended during the test.")

    def _joined(self) -> int:
        try:
            joined = self.master.status(since=FUTURE).workers
        except (OSError, HTTPException, ValueError) as error:
            self._master_error = f"Locust's master does not answer: {error}."
            return 0
        self._master_error = ""
        return joined

    def _troubles(self) -> list[Trouble]:
        found = [trouble for pod in self.pods.now() if (trouble := pod_trouble(pod))]
        return found + [trouble for each in self.deployments.now() if (trouble := _not_created(each))]

    def _check_pods(self) -> None:
        for pod in self.pods.now():
            if _has_ended(pod):
                raise self._ended(pod, "A load process ended before it was ready.")

    def _ended(self, pod: Object, what: str) -> PermanentError:
        """Return the error for an ended pod, with the cluster's words and the pod's last log lines."""
        trouble, log = pod_trouble(pod), self.api.log_end(pod["metadata"]["name"], CONTAINER)
        return PermanentError("\n".join(filter(None, (what, trouble.message if trouble else "", log))))


def _has_ended(pod: Object) -> bool:
    """Return True if a container of the pod has ended, even if it runs again, or if the pod is terminating."""
    status = pod.get("status", {})
    return (
        "deletionTimestamp" in pod["metadata"]
        or status.get("phase") == "Failed"
        or any(
            each.get("restartCount") or "terminated" in each.get("state", {})
            for each in status.get("containerStatuses", ())
        )
    )


def _not_created(deployment: Object) -> Trouble | None:
    """Return why a quota or an admission rule rejects a Deployment's pods, if it does."""
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Trouble(message=f"Load pods cannot be created: {failure.get('message', '')}.")
