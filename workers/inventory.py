"""Publisher of the registry's versions and the clusters' endpoints to the catalogue in Redis."""

import logging

from workers.contract.catalogue import Served, Version
from workers.contract.queue import Catalogue
from workers.contract.record import Record
from workers.errors import JobError
from workers.platforms.protocols import Platforms

logger = logging.getLogger(__name__)


class Inventory:
    """Publishes to `catalogue`, at a worker's start and at the end of each job."""

    def __init__(self, *, platforms: Platforms, catalogue: Catalogue) -> None:
        self._platforms = platforms
        self._catalogue = catalogue

    def publish_all(self) -> None:
        """Publish everything. Log what cannot be read; its last state stays in the catalogue."""
        for model in self._platforms.settings.models:
            self._publish_versions(model)
            for environment in self._platforms.settings.environments:
                self._publish_endpoint(environment, model)

    def refresh(self, record: Record) -> None:
        """Publish what the job may have changed, even if it failed."""
        job = record.job
        if job.change == "versions":
            self._publish_versions(job.model)
        elif job.change == "endpoint" and job.environment is not None and job.environment in self._platforms.clusters:
            self._publish_endpoint(job.environment, job.model)

    def _publish_versions(self, model: str) -> None:
        try:
            manifests = self._platforms.artifacts.versions(model=model)
        except JobError as error:
            logger.warning("the versions of %s could not be read: %s", model, error)
            return
        versions = [
            Version(
                model=manifest.model,
                version=manifest.version,
                digest=manifest.digest,
                metrics=manifest.metrics,
                size_bytes=manifest.size_bytes,
                trained_by=manifest.trained_by,
                created_at_s=manifest.created_at_s,
                job_id=manifest.job_id,
                probe=manifest.probe,
                means=manifest.means,
            )
            for manifest in manifests
        ]
        self._catalogue.publish_versions(model, versions)

    def _publish_endpoint(self, environment: str, model: str) -> None:
        cluster = self._platforms.clusters[environment]
        try:
            endpoint = cluster.endpoint(model=model, environment=self._platforms.settings.environments[environment])
        except JobError as error:
            logger.warning("%s on %s could not be read: %s", model, environment, error)
            return
        if endpoint is None:
            self._catalogue.publish_removed(environment=environment, model=model)
            return
        served = Served(
            model=model,
            environment=environment,
            version=endpoint.version,
            address=endpoint.address,
            ready=endpoint.ready,
            replicas=endpoint.replicas,
            since_s=endpoint.since_s,
            job_id=endpoint.job_id,
        )
        self._catalogue.publish_served(served)
