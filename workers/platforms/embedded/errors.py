"""Errors of the embedded warehouse and model store, worded for the person who wrote the settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from workers.contract.settings import Model
from workers.errors import PermanentError


def query_error(model: Model, problem: str, advice: str) -> PermanentError:
    """Return an error that begins with `models.MODEL.query`. `problem` and `advice` are sentences."""
    return PermanentError(f"models.{model.name}.query: {problem}", advice=advice)


def label_error(model: Model, problem: str, advice: str) -> PermanentError:
    """Return an error that begins with `models.MODEL.label`. `problem` and `advice` are sentences."""
    return PermanentError(f"models.{model.name}.label: {problem}", advice=advice)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of the operating system, such as a full disk, into a PermanentError that names the file."""
    try:
        yield
    except OSError as error:
        raise PermanentError(
            f"{error.filename or 'A file of the worker'}: {error.strerror or error}.",
            advice="Check the free space and the permissions of the worker's folder (SEATRIAL_HOME).",
        ) from error


def join_names(names: list[str], *, limit: int = 20) -> str:
    """Return at most `limit` names, separated by commas, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
