"""One request to a Kubernetes API server.

The kubernetes client finds the server and signs the requests (kubernetes_access); what it was answered becomes
PermanentError or TemporaryError here (kubernetes_errors), and no call lasts longer than its deadline.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from workers.errors import PermanentError
from workers.platforms.cloud.kubernetes.access import ClusterAddress, Login
from workers.platforms.cloud.kubernetes.errors import ApiCall, is_stranger, no_object, refusal, unreachable

Object = dict[str, Any]
"""An object of the API, as its JSON."""

FIELD_MANAGER = "seatrial"
"""Who owns the fields that are applied; https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers"""

CONNECT_S = 5.0
ANSWER_S = 20.0
"""How long one call may take: admission webhooks have 10 s by default, and a few may stand in a row."""

_REPEATABLE = {"GET", "PATCH", "DELETE"}
"""What is sent once more where the connection broke: every patch here says how things shall be, not by how much they
change. Never after a pause that the caller does not know of."""


class Http:
    """The way to one server, for any number of threads."""

    def __init__(self, target: ClusterAddress, *, client: Any, answer_s: float) -> None:
        """`client` and `answer_s` as in Api."""
        self._login = Login(target, client)
        self._answer_s = answer_s

    def send(
        self,
        call: ApiCall,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content: str = "application/json",
        read_s: float | None = None,
        stream: bool = False,
        may_miss: bool = False,
        by_service: bool = False,
    ) -> Any:
        """Send one request and return urllib3's response, unread where `stream`; None for a 404 where it `may_miss`.

        A login that the server does not know, or no more, is made anew, once: tokens run out, and people log in again.
        """
        ask = partial(
            self._ask, call, method, path, query=query, body=body, content=content, read_s=read_s, stream=stream
        )

        def is_well(response: Any) -> bool:
            return 200 <= response.status < 300 or (by_service and not _from_api_server(response))

        client = self._login.client()
        response = ask(client)
        if not is_well(response) and is_stranger(status=response.status, body=response.data):
            self._login.forget(client)
            response = ask(self._login.client())
        if is_well(response):
            return response
        if response.status == 404 and may_miss:
            return None
        raise refusal(call, status=response.status, body=response.data, headers=response.headers)

    def _ask(
        self,
        call: ApiCall,
        method: str,
        path: str,
        client: Any,
        *,
        query: Mapping[str, str] | None,
        body: bytes | None,
        content: str,
        read_s: float | None,
        stream: bool,
    ) -> Any:
        """The server's response to one request; the body of a refusal has been read."""
        import urllib3

        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": FIELD_MANAGER}
        try:
            client.update_params_for_auth(headers, [], ["BearerToken"])
        except PermanentError:
            self._login.forget(client)
            raise
        headers = {name: value.strip() for name, value in headers.items()}  # a token may end with its file's last line
        url = f"{client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            response = client.rest_client.pool_manager.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s or self._answer_s),
                retries=urllib3.Retry(1, allowed_methods=_REPEATABLE, respect_retry_after_header=False),
                preload_content=not stream,
                redirect=False,
            )
            if stream and not 200 <= response.status < 300:
                response.read(cache_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(call, error) from error
        return response


def object_of(call: ApiCall, body: bytes) -> Object:
    """The object that a server answered with. Raises PermanentError where it is no JSON."""
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError) as error:
        raise no_object(call, body) from error


def _from_api_server(response: Any) -> bool:
    """Whether a refusal is the API server's own (an object of kind Status), not that of the service behind it."""
    try:
        return bool(json.loads(response.data)["kind"] == "Status")
    except (ValueError, TypeError, KeyError):
        return False
