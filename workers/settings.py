"""What a worker is told by its environment, beside `seatrial.toml`. Read once, at its start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.contract.settings import SettingsError, SettingsFile
from workers.contract.settings_reader import read_settings_file

DOCKER = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """A worker's settings.

    * `redis_url` (REDIS_URL): default redis://127.0.0.1:6379/0.
    * `config` (SEATRIAL_CONFIG): the settings file; default seatrial.toml in the working folder.
    * `home` (SEATRIAL_HOME): where this machine's models and endpoints are kept; default .seatrial.
    * `threads` (SEATRIAL_THREADS): jobs at once, 1..64; default 4: they mostly wait for something outside.
    * `lease_s` (SEATRIAL_LEASE_S): seconds, 1..300, after which a silent worker's jobs go to another; default 10: above
      a pause for breath of a busy machine, below what a person waits for.
    * `grace_s` (SEATRIAL_GRACE_S): seconds, 0..600, that running jobs get to end on SIGTERM before they are handed
      back; default 20: below the 30 s of Kubernetes' terminationGracePeriodSeconds.
    * `bigquery_endpoint` (BIGQUERY_EMULATOR_HOST): base URL of an emulator's API, as Google's own SDKs read it; default
      "": Google's, with Application Default Credentials. Cloud Storage's SDK reads STORAGE_EMULATOR_HOST by itself, as
      Kubernetes' reads KUBECONFIG.
    * `docker` (DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH): the engine that builds images; default the local one.
    * `registry_username` (REGISTRY_USERNAME), `registry_password` (REGISTRY_PASSWORD): the registry's, where it is not
      Google's, which takes Application Default Credentials.
    """

    redis_url: str
    config: Path
    home: Path
    threads: int
    lease_s: float
    grace_s: float
    bigquery_endpoint: str
    docker: Mapping[str, str]
    registry_username: str
    registry_password: str = field(repr=False)
    file: SettingsFile


def read_settings(environ: Mapping[str, str] = os.environ) -> WorkerSettings:
    """The settings in `environ` and in the file that it names. Raises SettingsError with every mistake."""
    mistakes: list[str] = []

    def number(name: str, default: float, low: float, high: float) -> float:
        text = environ.get(name, "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            mistakes.append(f"{name}: wanted a number from {low:g} to {high:g}, found {text!r}.")
        return value

    threads = number("SEATRIAL_THREADS", 4, 1, 64)
    lease_s = number("SEATRIAL_LEASE_S", 10, 1, 300)
    grace_s = number("SEATRIAL_GRACE_S", 20, 0, 600)
    config = Path(environ.get("SEATRIAL_CONFIG") or "seatrial.toml")
    file = SettingsFile()
    try:
        file = read_settings_file(config)
    except SettingsError as error:
        mistakes.extend(error.mistakes)
    if mistakes:
        raise SettingsError(tuple(mistakes))
    return WorkerSettings(
        redis_url=environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0",
        config=config,
        home=Path(environ.get("SEATRIAL_HOME") or ".seatrial").absolute(),
        threads=int(threads),
        lease_s=lease_s,
        grace_s=grace_s,
        bigquery_endpoint=environ.get("BIGQUERY_EMULATOR_HOST", ""),
        docker={name: environ[name] for name in DOCKER if name in environ},
        registry_username=environ.get("REGISTRY_USERNAME", ""),
        registry_password=environ.get("REGISTRY_PASSWORD", ""),
        file=file,
    )
