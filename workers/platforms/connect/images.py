"""The adapter that builds container images."""

from workers.platforms.protocols.images import Images
from workers.settings import WorkerSettings


def images(settings: WorkerSettings) -> Images:
    """Return the adapter for the table `images`, or the embedded one without it. Raises ImportError."""
    if settings.file.images is None:
        from workers.platforms.embedded.images import EmbeddedImages

        return EmbeddedImages()
    from workers.platforms.cloud.docker.images import DockerImages

    return DockerImages(
        settings=settings.file.images,
        environ=settings.docker,
        username=settings.registry_username,
        password=settings.registry_password,
    )
