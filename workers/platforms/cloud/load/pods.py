"""The pods of one load test: awaited until all have joined the master, then watched until the test is over."""

from collections.abc import Iterator
from contextlib import contextmanager
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
_LOG_LINES = 5


class LoadPods:
    """Use `watched` to get one."""

    def __init__(self, *, api: Api, pods: Watched, deployments: Watched, workers: int, master: MasterClient) -> None:
        self._api = api
        self._pods = pods
        self._deployments = deployments
        self._workers = workers
        self._master = master
        self._silence = ""
        self._told: set[str] = set()

    @classmethod
    @contextmanager
    def watched(cls, api: Api, attempt: Attempt, *, workers: int, master: MasterClient) -> Iterator[Self]:
        """The pods of `attempt`, known by watch until the context is left."""
        with (
            api.watch("Pod", labels=attempt.selector) as pods,
            api.watch("Deployment", labels=attempt.selector) as deployments,
        ):
            yield cls(api=api, pods=pods, deployments=deployments, workers=workers, master=master)

    def await_all(self, *, progress: Progress, patience_s: float) -> None:
        """Return when all workers have joined the master; tell meanwhile what stands in the way.

        Raises PermanentError, with the cluster's own words, where they will not or do not within `patience_s`.
        """
        gives_up_at_s = monotonic() + patience_s
        while (joined := self._joined()) < self._workers:
            self._check_pods()
            troubles = self._troubles()
            for trouble in troubles:
                if trouble.permanent:
                    raise PermanentError(f"Locust does not come up. {trouble.message}")
                if trouble.message not in self._told:
                    self._told.add(trouble.message)
                    progress.log(trouble.message)
            if monotonic() > gives_up_at_s:
                words = " ".join(trouble.message for trouble in troubles) or self._silence
                raise PermanentError(
                    f"{joined} of {self._workers} load workers had joined after {patience_s:g} s. {words}".strip(),
                    advice="Load workers ask for a core each: give the cluster room, or test at a lower rate.",
                )
            progress.report(joined, self._workers, fact=f"{joined} of {self._workers} load workers ready")
            progress.wait(_POLL_S)
        self._check_pods()  # one that was started twice has another's share of the rate

    def watch(self) -> None:
        """Raise PermanentError, with its last words, where the master's pod has ended, is being ended or has gone.

        Of a worker that ends, the others take over the share, and the result tells of it.
        """
        masters = [pod for pod in self._pods.now() if pod["metadata"]["labels"][COMPONENT] == "master"]
        if not masters:
            raise PermanentError("The load test's master ended in mid-test: its pod has gone.")
        for pod in masters:
            if _has_ended(pod):
                raise self._ended(pod, "The load test's master ended in mid-test.")

    def _joined(self) -> int:
        try:
            joined = self._master.status(since=FUTURE).workers
        except (OSError, HTTPException, ValueError) as error:
            self._silence = f"Locust's master does not answer: {error}."
            return 0
        self._silence = ""
        return joined

    def _troubles(self) -> list[Trouble]:
        found = [trouble for pod in self._pods.now() if (trouble := pod_trouble(pod))]
        return found + [trouble for each in self._deployments.now() if (trouble := _not_created(each))]

    def _check_pods(self) -> None:
        """Raise PermanentError where one has ended."""
        for pod in self._pods.now():
            if _has_ended(pod):
                raise self._ended(pod, "A load process ended before it was ready.")

    def _ended(self, pod: Object, what: str) -> PermanentError:
        """The error for a pod that has ended, with the cluster's words and its own last ones."""
        trouble, name = pod_trouble(pod), pod["metadata"]["name"]
        logs = (
            self._api.logs(name, container=CONTAINER, lines=_LOG_LINES, previous=previous) for previous in (True, False)
        )
        words = [what, trouble.message if trouble else "", *filter(None, logs)]
        return PermanentError("\n".join(filter(None, words[:3])))


def _has_ended(pod: Object) -> bool:
    """Whether a container of the pod has ended, be it up again, or the pod is to end."""
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
    """What a quota or an admission rule says against a Deployment's pods."""
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Trouble(message=f"Load pods cannot be created: {failure.get('message', '')}.")
