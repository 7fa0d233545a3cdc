"""Rollout of one release: apply its objects, follow them until they are ready, verify an answer, undo on failure.

Server-side apply makes every step repeatable: https://kubernetes.io/docs/reference/using-api/server-side-apply/

The number of replicas is never applied. It is set through the scale subresource, which the autoscaler uses too: a
field that is applied once and then omitted would fall back to 1 for a moment.
"""

import logging
from dataclasses import dataclass, replace

from workers.errors import Interrupted, JobError, PermanentError, ShuttingDown, Superseded, TemporaryError
from workers.platforms.cloud.endpoints.endpoint_objects import EndpointObjects
from workers.platforms.cloud.endpoints.revisions import (
    VERIFIED,
    DeployedRelease,
    deployed_release,
    is_verified,
    rollback_revision,
    rolled_back,
    template_hash,
    verified_hash,
)
from workers.platforms.cloud.endpoints.rollout_watcher import RolloutWatcher, wait_until_settled
from workers.platforms.cloud.endpoints.verification import verify
from workers.platforms.cloud.kubernetes.objects import Object
from workers.platforms.protocols import Progress, Release

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """The rollout of one release to one endpoint, by one attempt of a job."""

    objects: EndpointObjects
    release: Release
    progress: Progress

    def run(self) -> Object:
        """Roll the release out and return its Deployment.

        On PermanentError and Interrupted, restores the newest verified revision, or removes a first release. Superseded
        and TemporaryError leave the rollout to the next attempt, which continues it.
        """
        before = self.objects.find()
        if service := self.objects.api.get("Service", self.objects.name):
            self.objects.check_owner(service)
        desired = self._desired(before)
        self.progress.check()
        try:
            deployment = self._bring_up(desired, before)
            self.progress.check()
        except (Superseded, TemporaryError):
            raise
        except (PermanentError, Interrupted) as error:
            self._undo_after(error, desired, before)
            raise
        if not is_verified(deployment):
            desired["metadata"]["annotations"][VERIFIED] = template_hash(desired)
            deployment = self.objects.api.apply(desired)
        return deployment

    def _desired(self, before: Object | None) -> Object:
        """Return the Deployment to apply. A release that already runs keeps the job that deployed it."""
        manifest = self.release.manifest
        if not manifest.image:
            raise PermanentError(
                f"{manifest.model} v{manifest.version} has no container image, which Kubernetes needs.",
                advice="Set [images] in seatrial.toml and train a new version.",
            )
        was = deployed_release(before) if before else None
        release = DeployedRelease(
            version=manifest.version,
            digest=manifest.digest,
            replicas=self.release.replicas,
            job_id=self.release.job_id,
            asked_by=self.release.asked_by,
            since_s=self.release.at_s,
            verified=was.verified if was else "",
        )
        desired = self._deployment(release)
        if before is None or was is None or template_hash(before) != template_hash(desired):
            return desired
        if not is_verified(before) and was.job_id != release.job_id:
            return desired
        return self._deployment(replace(release, job_id=was.job_id, asked_by=was.asked_by, since_s=was.since_s))

    def _deployment(self, release: DeployedRelease) -> Object:
        image, cpu_request = self.release.manifest.image, self.objects.environment.cpu_request
        return self.objects.manifests.deployment(self.objects.id, release, image=image, cpu_request=cpu_request)

    def _bring_up(self, desired: Object, before: Object | None) -> Object:
        """Apply the objects, wait until they are ready and verified, and return the Deployment."""
        objects, release = self.objects, self.release
        service = objects.api.apply(objects.manifests.service(objects.id))
        applied = objects.api.apply(desired)
        set_to = objects.set_replicas(applied, release.replicas)
        objects.api.apply(objects.manifests.disruption_budget(objects.id))
        reason = f"v{release.manifest.version} is rolled out" if before else f"replicas set to {release.replicas}"
        watcher = RolloutWatcher(objects=objects, progress=self.progress, before=before, set_to=set_to, reason=reason)
        deployment = watcher.wait_until_ready(minimum=release.replicas.minimum)
        verify(objects, service, release=release, progress=self.progress)
        return deployment

    def _undo_after(self, error: JobError, desired: Object, before: Object | None) -> None:
        """Undo. If that fails after a PermanentError, raise one that names both failures."""
        try:
            restored = self._undo(desired, before)
            if restored and not isinstance(error, ShuttingDown):
                wait_until_settled(self.objects)
        except JobError as second:
            logger.warning("Undoing the rollout of %s failed: %s", self.objects.name, second)
            if isinstance(error, PermanentError):
                raise PermanentError(f"{error} Undoing it failed: {second}", advice=error.advice) from error

    def _undo(self, desired: Object, before: Object | None) -> bool:
        """Restore the release that was last verified. Return False if a first release was removed."""
        objects, now = self.objects, self.objects.find()
        if now is None or not verified_hash(now):
            objects.delete()
            return False
        revision = before if is_verified(now) else rollback_revision(now, objects.replica_sets())
        if revision is None:
            raise PermanentError(f"Kubernetes no longer keeps the revision of {objects.name} that was last verified.")
        restored = objects.api.apply(rolled_back(desired, revision))
        objects.set_replicas(restored, deployed_release(revision).replicas, previous=before)
        return True
