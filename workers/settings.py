"""Settings of a worker: its environment variables and the settings file.

The SDKs themselves read STORAGE_EMULATOR_HOST, KUBECONFIG and the variables of Application Default Credentials.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from workers.contract.process_settings import ProcessSettings


class WorkerSettings(ProcessSettings):
    """The variables of a worker, beside those of ProcessSettings."""

    home: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        Path(".seatrial"), alias="SEATRIAL_HOME", validate_default=True
    )
    """The folder of this machine's models and endpoints."""
    threads: int = Field(4, ge=1, le=64, alias="SEATRIAL_THREADS")
    """Number of jobs at once. Default 4: jobs mostly wait for other services."""
    lease_s: float = Field(10.0, ge=1, le=300, alias="SEATRIAL_LEASE_S")
    """Seconds without a heartbeat after which other workers take over the jobs. Default 10: more than a pause of a busy
    machine, less than the patience of a person."""
    grace_s: float = Field(20.0, ge=0, le=600, alias="SEATRIAL_GRACE_S")
    """Seconds that running jobs get on SIGTERM before they are requeued. Default 20: less than the 30 s of Kubernetes'
    terminationGracePeriodSeconds."""
    bigquery_endpoint: str = Field("", alias="BIGQUERY_EMULATOR_HOST")
    """Base URL of an emulator's API, as in Google's SDKs. Default: Google, with Application Default Credentials."""
    docker_host: str = ""
    """The engine that builds images. Default: the local one."""
    docker_tls_verify: str = ""
    docker_cert_path: str = ""
    registry_username: str = ""
    registry_password: str = Field("", repr=False)
    """Login of the image registry. Not needed for Google's, which takes Application Default Credentials."""

    @property
    def docker(self) -> Mapping[str, str]:
        """Return the variables for Docker's SDK that are set."""
        texts = self.model_dump(include={"docker_host", "docker_tls_verify", "docker_cert_path"})
        return {name.upper(): text for name, text in texts.items() if text}


def read_settings(environ: Mapping[str, str] = os.environ) -> WorkerSettings:
    """Read `environ` and the settings file that it names. Raises SettingsError with every mistake."""
    return WorkerSettings.read(environ)
