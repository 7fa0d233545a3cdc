"""The addresses of services in the settings: "local", or one of the forms that are parsed here."""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from workers.contract.settings import SettingsError

LOCAL = "local"
Address = TypeVar("Address")


class BigQueryAddress(NamedTuple):
    """bigquery://PROJECT/DATASET/LOCATION."""

    project: str
    dataset: str
    location: str


class BucketAddress(NamedTuple):
    """gs://BUCKET/PREFIX."""

    bucket: str
    prefix: str


def parse_bigquery(address: str) -> BigQueryAddress:
    """Raise ValueError if `address` is not a BigQuery dataset."""
    match = re.fullmatch(r"bigquery://([a-z0-9.:-]+)/([A-Za-z0-9_]+)/([A-Za-z0-9-]+)", address)
    if match is None:
        raise ValueError(f'unknown address {address!r}; use "local" or "bigquery://PROJECT/DATASET/LOCATION".')
    return BigQueryAddress(*match.groups())


def parse_bucket(address: str) -> BucketAddress:
    """Raise ValueError if `address` is not a Cloud Storage bucket."""
    match = re.fullmatch(r"gs://([a-z0-9._-]+)/?([A-Za-z0-9._/-]*)", address)
    if match is None:
        raise ValueError(f'unknown address {address!r}; use "local" or "gs://BUCKET/PREFIX".')
    return BucketAddress(*match.groups())


def parse_other(parse: Callable[[str], Address], address: str) -> Address:
    """Parse the address of another field. Raises SettingsError without mistakes: that field reports its own."""
    try:
        return parse(address)
    except ValueError as error:
        raise SettingsError(()) from error
