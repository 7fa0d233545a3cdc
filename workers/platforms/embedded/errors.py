"""How the embedded warehouse and store say what is wrong with the settings, the data or the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from workers.contract.settings import Model
from workers.errors import PermanentError


def mistake(model: Model, field: str, what: str, *, advice: str) -> PermanentError:
    """The error that names `models.MODEL.FIELD`; `what` and `advice` are whole sentences."""
    return PermanentError(f"models.{model.name}.{field}: {what}", advice=advice)


@contextmanager
def on_disk() -> Iterator[None]:
    """Turn what the operating system says of files (no space, no right) into a PermanentError that names the file."""
    try:
        yield
    except OSError as error:
        raise PermanentError(
            f"{error.filename or 'A file of the worker'}: {error.strerror or error}.",
            advice="Check the free space and the rights of the worker's folder (SEATRIAL_HOME).",
        ) from error


def listed(names: list[str], *, limit: int = 20) -> str:
    """`names` in words, at most `limit` of them."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
