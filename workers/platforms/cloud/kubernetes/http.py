"""HTTP requests to one Kubernetes API server.

The kubernetes client finds the server and signs requests (access.py). Failed answers become PermanentError or
TemporaryError (errors.py). Every call has a deadline.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.errors import ApiCall, is_rejected_login, refusal, status_object, unreachable
from workers.platforms.cloud.kubernetes.objects import Object

FIELD_MANAGER = "seatrial"
"""Owner of the fields that are applied: https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers"""

_CONNECT_S = 5.0
ANSWER_S = 20.0
"""Deadline of one call. Admission webhooks have 10 s each by default, and a few may run in a row."""

_REPEATABLE = {"GET", "PATCH", "DELETE"}
"""Methods that are repeated once after a broken connection. Every patch here sets values; it never adds to them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """A request to the server. `read_s` replaces the default deadline; `stream` leaves the response unread."""

    method: str = "GET"
    path: str
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    content: str = "application/json"
    read_s: float | None = None
    stream: bool = False


class Http:
    """Connection to one server, with a client that is opened on first use and again after a rejected login.

    Thread-safe. Calls raise what `open_client` raises.
    """

    def __init__(self, open_client: Callable[[], Any]) -> None:
        self._open_client = open_client
        self._opened: Any = None
        self._opening = threading.Lock()

    def send(self, call: ApiCall, request: HttpRequest, *, may_miss: bool = False, by_service: bool = False) -> Any:
        """Send one request and return urllib3's response, or None for a 404 if it `may_miss`.

        On 401, log in again once: tokens expire. With `by_service`, errors of the Service itself are returned.
        """

        def succeeded(response: Any) -> bool:
            return 200 <= response.status < 300 or (by_service and status_object(response.data).get("kind") != "Status")

        client = self._client()
        response = self._response(call, request, client)
        if not succeeded(response) and is_rejected_login(status=response.status, body=response.data):
            self._forget(client)
            response = self._response(call, request, self._client())
        if succeeded(response):
            return response
        if response.status == 404 and may_miss:
            return None
        raise refusal(call, status=response.status, body=response.data, headers=response.headers)

    def _client(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_client()
            return self._opened

    def _forget(self, client: Any) -> None:
        """Make the next call log in again, with the credentials available then."""
        with self._opening:
            if self._opened is client:
                self._opened = None

    def _response(self, call: ApiCall, request: HttpRequest, client: Any) -> Any:
        """Return the response to one request. The body of a refusal is read in any case."""
        import urllib3

        headers = {"Accept": "application/json", "Content-Type": request.content, "User-Agent": FIELD_MANAGER}
        try:
            client.update_params_for_auth(headers, [], ["BearerToken"])
        except PermanentError:
            self._forget(client)
            raise
        headers = {name: value.strip() for name, value in headers.items()}  # a token file may end with a line break
        url = f"{client.configuration.host}{request.path}" + (f"?{urlencode(request.query)}" if request.query else "")
        try:
            response = client.rest_client.pool_manager.request(
                request.method,
                url,
                body=request.body,
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=request.read_s or ANSWER_S),
                retries=urllib3.Retry(1, allowed_methods=_REPEATABLE, respect_retry_after_header=False),
                preload_content=not request.stream,
                redirect=False,
            )
            if request.stream and not 200 <= response.status < 300:
                response.read(cache_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(call, error) from error
        return response


def parse_object(call: ApiCall, body: bytes) -> Object:
    """Parse the object in an answer. Raises PermanentError if it is not one, such as a login page."""
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError) as error:
        start = " ".join(body[:100].decode(errors="replace").split())
        raise PermanentError(
            f"{call.cluster} did not {call.description} as a Kubernetes API server does. It answered: {start}",
            advice="Check the server's address in the kubeconfig, and any proxy in front of it.",
        ) from error
