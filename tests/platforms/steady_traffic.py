"""Clients that request predictions continuously and record every failure."""

import http.client
import json
import threading
from collections import Counter
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.platforms.onnx_models import SAMPLE

BODY = json.dumps({"instances": [SAMPLE]})


class SteadyTraffic:
    """Requests to `model` at `address`, from clients that keep their connection and from others that do not.

    Each client sends at most `rate_rps` requests a second. `answers` counts predicted labels; `failures` has the rest.
    """

    def __init__(
        self, address: str, *, model: str, persistent: int = 4, reconnecting: int = 2, rate_rps: float = 40
    ) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._netloc = urlsplit(address).netloc
        self._path = f"/v1/models/{model}:predict"
        self._pause_s = 1 / rate_rps
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(keep,)) for keep in [True] * persistent + [False] * reconnecting
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, keep: bool) -> None:
        connection = http.client.HTTPConnection(self._netloc, timeout=60)
        while not self._stop.wait(self._pause_s):
            try:
                connection.request("POST", self._path, body=BODY)
                response = connection.getresponse()
                body = response.read()
                if response.status == 200:
                    self.answers[json.loads(body)["predictions"][0]["predicted_fruit"][0]] += 1
                else:
                    self.failures.append(f"{response.status} {body!r}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            if not keep:
                connection.close()
        connection.close()
