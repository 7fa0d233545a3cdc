"""`python -m workers doctor`: checks of all that a worker needs, without running a job."""

import logging
from collections.abc import Iterator, Mapping

from workers.contract.findings import Finding
from workers.contract.queue.diagnosis import diagnose as diagnose_redis
from workers.contract.settings import SettingsError
from workers.errors import JobError, PermanentError
from workers.platforms.connect import connect
from workers.platforms.embedded.diagnosis import diagnose as diagnose_machine
from workers.platforms.protocols import Diagnosable, Platforms
from workers.settings import read_settings


def doctor(environ: Mapping[str, str]) -> int:
    """Print one line per finding. Return 0 if all checks pass, else 1. Log lines of SDKs are suppressed."""
    logging.disable(logging.WARNING)
    try:
        status = 0
        for finding in findings(environ):
            print(finding, flush=True)
            status |= not finding.ok
        return status
    finally:
        logging.disable(logging.NOTSET)


def findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check a worker's settings in `environ` and all services they name. A check takes at most about 30 s."""
    try:
        settings = read_settings(environ)
        models, environments = ", ".join(settings.file.models), ", ".join(settings.file.environments)
        what = f"a worker's settings: models {models or 'none'}; environments {environments or 'none'}"
        yield Finding(what=what, ok=True)
        yield from diagnose_redis(settings.redis_url)
        yield from diagnose_machine(file=settings.file, home=settings.home)
        yield from of_adapters(connect(settings))
    except SettingsError as error:
        yield from (Finding(what=mistake.rstrip("."), ok=False) for mistake in error.mistakes)


def of_adapters(platforms: Platforms) -> Iterator[Finding]:
    """Check each adapter that is Diagnosable, once even if it serves several environments."""
    serving = (*platforms.clusters.values(), *platforms.loads.values())
    adapters = [platforms.warehouse, platforms.artifacts, platforms.images, *serving]
    for adapter in {id(adapter): adapter for adapter in adapters}.values():
        if not isinstance(adapter, Diagnosable):
            continue
        try:
            yield from adapter.diagnose()
        except JobError as error:
            advice = error.advice if isinstance(error, PermanentError) else "Try again in a while."
            yield Finding(what=str(error).rstrip("."), ok=False, advice=advice)
