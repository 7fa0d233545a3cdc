"""Load generator on Kubernetes: runs a Locust master and workers as pods for one test.

manifests.py builds the objects, and `workers/platforms/swarm.py` drives the master.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from workers.contract.formatting import show_count
from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms import destination
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.load.manifests import ALL, JOB, USER_LOCUSTFILE, Attempt, LoadManifests, is_over
from workers.platforms.cloud.load.master import master_client, traffic
from workers.platforms.cloud.load.pods import LoadPods
from workers.platforms.protocols import Progress, RunningLoad, TrafficPlan
from workers.platforms.swarm import SILENCE_S, MasterClient, Swarm
from workers.platforms.traffic_plan import LOCUST_DIR, REQUEST_TIMEOUT_S, find_locustfile, plan_json, workers_for

logger = logging.getLogger(__name__)

_MIN_WORKERS = 2
"""Two workers use two nodes if the cluster has them."""
_START_S = 300.0
"""Time limit for the pods to start: a node pool that must grow takes two or three minutes."""
_GONE_S = 30.0
"""Time limit for pods to end; their terminationGracePeriodSeconds is 5."""
_DELETE_TRIES = 3
_POLL_S = 0.2
_IDENTITY = "locust"


class KubernetesLoad:
    """LoadGenerator that runs Locust in the namespace of `api`.

    `image` is the Dockerfile's target `load`. `locust_dir` has the Locust file.
    """

    def __init__(self, *, api: Api, image: str, locust_dir: Path = LOCUST_DIR) -> None:
        self._api = api
        self._image = image
        self._manifests = LoadManifests()
        self._locust_dir = locust_dir

    def sweep(self, *, ended: Callable[[str], bool | None]) -> int:
        """Remove what tests of dead jobs left in the namespace; see LoadGenerator. Raises JobError as Api does.

        A test is removed if its job has ended, or if the job is unknown and the test's time has passed. A test of a
        running job stays, also if the clock of this machine is wrong: if the job runs again, the next attempt removes
        the earlier test itself.
        """
        leftovers = 0
        for found in self._api.list("ConfigMap", labels=ALL):
            job_id = found["metadata"].get("annotations", {}).get(JOB)
            if job_id is None:
                continue
            job_ended = ended(job_id)
            if job_ended or (job_ended is None and is_over(found, now_s=time.time())):
                _delete(self._api, Attempt(name=found["metadata"]["name"]))
                leftovers += 1
        return leftovers

    @contextmanager
    def start(self, *, plan: TrafficPlan, progress: Progress) -> Iterator[RunningLoad]:
        """Begin the traffic; leaving the context, also by an error, ends it and removes every object and pod.

        Objects of an earlier attempt at the job are removed first. Raises PermanentError if the target may not be
        loaded, TargetDown if it does not answer one request correctly, and PermanentError, with the cluster's own
        words, if Locust does not start.
        """
        find_locustfile(self._locust_dir)
        files = self._files(plan)
        addresses, answer = self._find_destination(plan)
        if earlier := progress.external_id(_IDENTITY):
            _remove(self._api, Attempt(name=earlier))
        attempt = Attempt.at(plan.job_id, secrets.token_hex(3))
        progress.save_external_id(_IDENTITY, attempt.name)
        workers = max(workers_for(plan), _MIN_WORKERS)
        files["plan.json"] = plan_json(
            plan, workers=workers, timeout_s=REQUEST_TIMEOUT_S, addresses=addresses, answer=answer
        )
        master = master_client(self._api, attempt)
        try:
            self._apply(attempt, plan, workers, files)
            with LoadPods.watched(self._api, attempt, master=master) as pods:
                pods.await_all(workers, progress=progress, patience_s=_START_S)
                with traffic(master):
                    progress.log(f"Locust: {show_count(workers, 'worker pod')}.")
                    yield Swarm(
                        master=master,
                        whole_s=plan.whole_s,
                        timeout_s=REQUEST_TIMEOUT_S,
                        progress=progress,
                        watch=pods.watch,
                    )
        finally:
            _end(self._api, attempt, master)

    def _files(self, plan: TrafficPlan) -> dict[str, str]:
        """Return our Locust file with its modules, and the user's. Raise PermanentError if it cannot be read."""
        files = {file.name: file.read_text(encoding="utf-8") for file in sorted(self._locust_dir.glob("*.py"))}
        if plan.locustfile is not None:
            try:
                files[USER_LOCUSTFILE] = plan.locustfile.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise PermanentError(
                    f"The Locust file {plan.locustfile} cannot be read: {error}.",
                    advice="Correct the path under [loadtest] locustfile in the settings.",
                ) from error
        return files

    def _apply(self, attempt: Attempt, plan: TrafficPlan, workers: int, files: Mapping[str, str]) -> None:
        until_s = time.time() + _START_S + plan.whole_s + REQUEST_TIMEOUT_S + SILENCE_S + _GONE_S
        data = {**files, "host": destination.origin(plan.url), "master": attempt.master}
        root = self._manifests.config_map(attempt, job_id=plan.job_id, until_s=until_s, data=data)
        root = self._api.apply(root)
        for obj in self._manifests.owned(attempt, root, image=self._image, workers=workers):
            self._api.apply(obj)

    def _find_destination(self, plan: TrafficPlan) -> tuple[tuple[str, ...], bytes]:
        """Return the target's addresses and its response to one request.

        Outside the cluster, the request to a Service goes through the API server. There are no addresses then: the
        load processes resolve the Service's name under the same rules.
        """
        parts = urlsplit(plan.url)
        service = re.fullmatch(rf"(.+)\.{re.escape(self._api.namespace)}\.svc", parts.hostname or "")
        if service is None or self._api.target.inside:
            return destination.find_destination(plan, timeout_s=REQUEST_TIMEOUT_S)
        destination.check_name(plan)
        method, path = "POST" if plan.body else "GET", destination.request_path(plan.url)
        try:
            status, body = self._api.ask_service(
                service[1], parts.port or 80, method, path, body=plan.body, answer_s=REQUEST_TIMEOUT_S
            )
        except TemporaryError as error:
            raise destination.target_down(plan, f"does not answer: {error}") from error
        destination.check_response(plan, status=status, body=body)
        return (), body


def _end(api: Api, attempt: Attempt, master: MasterClient) -> None:
    """End the traffic, then remove all objects. If the cluster cannot be reached, `sweep` removes them later."""
    with suppress(JobError, OSError, HTTPException, ValueError):
        master.stop()
    for left in reversed(range(_DELETE_TRIES)):
        try:
            _remove(api, attempt)
            return
        except JobError as error:
            logger.warning("Could not remove the objects of %s (%d tries left): %s", attempt.name, left, error)
            time.sleep(1.0 if left else 0.0)


def _delete(api: Api, attempt: Attempt) -> None:
    """Delete all objects. Their pods end by themselves, those of a lost node much later."""
    for name in (attempt.worker, attempt.master):
        api.delete("Deployment", name)
    api.delete("Service", attempt.master)
    api.delete("ConfigMap", attempt.name)


def _remove(api: Api, attempt: Attempt) -> None:
    """Delete all objects and wait until the pods are gone. Raise TemporaryError if they do not end in time."""
    _delete(api, attempt)
    gives_up_at_s = time.monotonic() + _GONE_S
    while api.list("Pod", labels=attempt.selector):
        if time.monotonic() > gives_up_at_s:
            raise TemporaryError(f"The pods of {attempt.name} did not end within {_GONE_S:g} s.")
        time.sleep(_POLL_S)
