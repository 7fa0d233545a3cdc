"""Load from a Kubernetes cluster: a Locust master and workers as pods for one test, driven as on one machine.

What a test is made of is in load_manifests; how the master is driven in workers/platforms/swarm.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from workers.contract.formatting import show_count
from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.cloud.kubernetes.api import Api
from workers.platforms.cloud.load.keepalive import held
from workers.platforms.cloud.load.manifests import ALL, JOB, OWN_LOCUSTFILE, WEB_PORT, Attempt, LoadManifests, is_over
from workers.platforms.cloud.load.pods import LoadPods
from workers.platforms.destination import check_name, down, find_destination, judge_answer, origin, request_path
from workers.platforms.protocols.load import RunningLoad, TrafficPlan
from workers.platforms.protocols.progress import Progress
from workers.platforms.swarm import HOLD, SILENCE_S, MasterClient, Swarm, check
from workers.platforms.traffic_plan import LOCUST_DIR, REQUEST_TIMEOUT_S, find_locustfile, plan_json, workers_for

logger = logging.getLogger(__name__)

FEWEST_WORKERS = 2
"""So that load comes from two nodes where there are two."""
START_S = 300.0
"""How long the pods may take to come up: a node pool that must grow first takes two or three minutes."""
GONE_S = 30.0
"""How long pods may take to go: their terminationGracePeriodSeconds are 5."""
DELETE_TRIES = 3
DRIVE_S = 5.0
"""How long the master may take to answer."""
_POLL_S = 0.2
_IDENTITY = "locust"


class KubernetesLoad:
    """Protocol LoadGenerator: Locust in the namespace of `api`.

    `image` is the Dockerfile's target `load`. `manifests` None: the YAML in k8s/locust. `locust_dir` has the Locust
    file; a request may take `timeout_s`.
    """

    def __init__(
        self,
        *,
        api: Api,
        image: str,
        manifests: LoadManifests | None = None,
        locust_dir: Path = LOCUST_DIR,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._api = api
        self._image = image
        self._manifests = manifests or LoadManifests()
        self._locust_dir = locust_dir
        self._timeout_s = timeout_s

    def sweep(self, *, ended: Callable[[str], bool]) -> int:
        """Remove what tests of dead jobs left in the namespace; see LoadGenerator. Raises JobError as Api does.

        A test goes where `ended(job_id)` or where its time has passed, whoever started it. One of a job that runs is
        left alone; of one that runs again, its next attempt has removed the earlier.
        """
        leftovers = 0
        for found in self._api.list("ConfigMap", labels=ALL):
            job_id = found["metadata"].get("annotations", {}).get(JOB)
            if job_id is not None and (is_over(found, now_s=time.time()) or ended(job_id)):
                _delete(self._api, Attempt(name=found["metadata"]["name"]))
                leftovers += 1
        return leftovers

    @contextmanager
    def start(self, *, plan: TrafficPlan, progress: Progress) -> Iterator[RunningLoad]:
        """Begin; leaving the context ends all traffic and removes every object and pod, whatever happened.

        What an earlier attempt at the job left behind is removed first. Raises PermanentError where the target may not
        be loaded, TargetDown where it does not answer one request as it should, and PermanentError, with the cluster's
        own words, where Locust does not come up.
        """
        find_locustfile(self._locust_dir)
        files = self._files(plan)
        addresses, answer = self._find_target(plan)
        if earlier := progress.external_id(_IDENTITY):
            _remove(self._api, Attempt(name=earlier))
        attempt = Attempt.at(plan.job_id, secrets.token_hex(3))
        progress.save_external_id(_IDENTITY, attempt.name)
        workers = max(workers_for(plan), FEWEST_WORKERS)
        files["plan.json"] = plan_json(
            plan, workers=workers, timeout_s=self._timeout_s, addresses=addresses, answer=answer
        )
        master = self._master(attempt)
        try:
            self._apply(attempt, plan, workers, files)
            with LoadPods.watched(self._api, attempt, workers=workers, master=master) as pods:
                pods.await_all(progress=progress, patience_s=START_S)
                with _begun(master):
                    progress.log(f"Locust: {show_count(workers, 'worker pod')}.")
                    yield Swarm(
                        master=master,
                        whole_s=plan.whole_s,
                        timeout_s=self._timeout_s,
                        progress=progress,
                        watch=pods.watch,
                    )
        finally:
            _end(self._api, attempt, master)

    def _files(self, plan: TrafficPlan) -> dict[str, str]:
        """The Locust file with its modules, and the user's own. Raises PermanentError where that cannot be read."""
        files = {file.name: file.read_text(encoding="utf-8") for file in sorted(self._locust_dir.glob("*.py"))}
        if plan.locustfile is not None:
            try:
                files[OWN_LOCUSTFILE] = plan.locustfile.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise PermanentError(
                    f"The Locust file {plan.locustfile} cannot be read: {error}.",
                    advice="Put the right path into the settings under [loadtest] locustfile.",
                ) from error
        return files

    def _apply(self, attempt: Attempt, plan: TrafficPlan, workers: int, files: Mapping[str, str]) -> None:
        lasts_s = START_S + plan.whole_s + self._timeout_s + SILENCE_S + GONE_S
        data = {**files, "host": origin(plan.url), "master": attempt.master}
        root = self._api.apply(
            self._manifests.config_map(attempt, job_id=plan.job_id, until_s=time.time() + lasts_s, data=data)
        )
        for obj in self._manifests.owned(
            attempt, root, image=self._image, workers=workers, own_locustfile=OWN_LOCUSTFILE in files
        ):
            self._api.apply(obj)

    def _master(self, attempt: Attempt) -> MasterClient:
        if self._api.target.inside:
            return MasterClient(host=f"{attempt.master}.{self._api.namespace}.svc", port=WEB_PORT, timeout_s=DRIVE_S)
        return _MasterByApiServer(self._api, attempt.master)

    def _find_target(self, plan: TrafficPlan) -> tuple[tuple[str, ...], bytes]:
        """The target's addresses and its answer to one request.

        A Service that only the cluster reaches is asked through the API server from outside; the load's processes,
        which know its name, find its addresses under the same rules.
        """
        parts = urlsplit(plan.url)
        service = re.fullmatch(rf"(.+)\.{re.escape(self._api.namespace)}\.svc", parts.hostname or "")
        if service is None or self._api.target.inside:
            return find_destination(plan, timeout_s=self._timeout_s)
        check_name(plan)
        try:
            reply = self._api.ask_service(
                service[1],
                parts.port or 80,
                "POST" if plan.body else "GET",
                request_path(plan.url),
                body=plan.body,
                answer_s=self._timeout_s,
            )
        except TemporaryError as error:
            raise down(plan, f"does not answer: {error}") from error
        judge_answer(plan, status=reply.status, body=reply.body)
        return (), reply.body


class _MasterByApiServer(MasterClient):
    """A master that only the cluster reaches, for a worker outside: the API server carries each request."""

    def __init__(self, api: Api, service: str) -> None:
        super().__init__(host=service, port=WEB_PORT)
        self._api = api

    def ask(self, method: str, path: str) -> bytes:
        """See Master."""
        try:
            reply = self._api.ask_service(self._host, self._port, method, path, answer_s=DRIVE_S)
        except TemporaryError as error:
            raise HTTPException(str(error)) from error
        return check(method, path, status=reply.status, body=reply.body)

    def hold(self) -> Generator[None, None, None]:
        """See Master."""
        with closing(self._api.follow_service(self._host, self._port, HOLD, silence_s=DRIVE_S)) as lines:
            try:
                for _ in lines:
                    yield
            except TemporaryError as error:
                raise HTTPException(str(error)) from error


@contextmanager
def _begun(master: MasterClient) -> Iterator[None]:
    """Begin the traffic; it ends with the context, and with this process. Raises PermanentError where it does not."""
    with ExitStack() as until_left:
        try:
            until_left.enter_context(held(master))
            master.start()
        except (OSError, HTTPException, ValueError) as error:
            raise PermanentError(f"Locust did not begin: {error}.") from error
        yield


def _end(api: Api, attempt: Attempt, master: MasterClient) -> None:
    """End the traffic, then remove everything. A cluster that cannot be reached now is swept later."""
    with suppress(JobError, OSError, HTTPException, ValueError):
        master.stop()
    for left in reversed(range(DELETE_TRIES)):
        try:
            _remove(api, attempt)
            return
        except JobError as error:
            logger.warning("%s could not be removed (%d more tries): %s", attempt.name, left, error)
            time.sleep(1.0 if left else 0.0)


def _delete(api: Api, attempt: Attempt) -> None:
    """Delete all objects; the pods go by themselves, those of a lost node much later."""
    for kind, name in attempt.objects:
        api.delete(kind, name)


def _remove(api: Api, attempt: Attempt) -> None:
    """Delete all objects and wait until the pods have gone. TemporaryError where they do not in time."""
    _delete(api, attempt)
    gives_up_at_s = time.monotonic() + GONE_S
    while api.list("Pod", labels=attempt.selector):
        if time.monotonic() > gives_up_at_s:
            raise TemporaryError(f"The pods of {attempt.name} do not end.")
        time.sleep(_POLL_S)
