"""Checks of the bucket for `doctor`."""

from collections.abc import Iterator

from workers.contract.findings import Finding
from workers.errors import JobError, PermanentError
from workers.platforms.cloud.storage.bucket import Bucket
from workers.platforms.cloud.storage.errors import ROLES, create, grant


def diagnose(bucket: Bucket) -> Iterator[Finding]:
    """Check the connection, each permission in ROLES, and the location, without a change."""
    try:
        missing = bucket.missing_rights()
        if missing is None:
            advice = create(bucket.url, project=bucket.project, location=bucket.wanted_location)
            yield Finding(what=f"{bucket.url} does not exist", ok=False, advice=advice)
            return
        yield Finding(what=f"{bucket.url} is reachable", ok=True)
        for permission in ROLES:
            advice = grant(bucket.url, permission, account=bucket.account())
            yield Finding(what=f"{permission} on {bucket.url}", ok=permission not in missing, advice=advice)
        if "storage.buckets.get" not in missing:
            bucket.ensure()
            yield Finding(what=f"{bucket.url} is in {bucket.location()}", ok=True)
    except JobError as error:
        advice = (
            error.advice if isinstance(error, PermanentError) else "Check the connection to storage.googleapis.com."
        )
        yield Finding(what=str(error).rstrip("."), ok=False, advice=advice)
