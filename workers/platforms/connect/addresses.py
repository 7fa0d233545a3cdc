"""The addresses of services in the settings: "local", or one of the forms that are parsed here."""

import re

from workers.contract.settings import SettingsError

LOCAL = "local"
BIGQUERY = "bigquery://PROJECT/DATASET/LOCATION"
BUCKET = "gs://BUCKET/PREFIX"
_PATTERNS = {
    BIGQUERY: r"bigquery://(?P<project>[a-z0-9.:-]+)/(?P<dataset>[A-Za-z0-9_]+)/(?P<location>[A-Za-z0-9-]+)",
    BUCKET: r"gs://(?P<bucket>[a-z0-9._-]+)/?(?P<prefix>[A-Za-z0-9._/-]*)",
}


def parse(address: str, form: str) -> dict[str, str]:
    """Return the parts of `address` by their names in lower case. Raises ValueError if it does not have the form."""
    match = re.fullmatch(_PATTERNS[form], address)
    if match is None:
        raise ValueError(f'unknown address {address!r}; use "local" or "{form}".')
    return match.groupdict()


def parse_other(address: str, form: str) -> dict[str, str]:
    """Parse the address of another field. Raises SettingsError without mistakes: that field reports its own."""
    try:
        return parse(address, form)
    except ValueError as error:
        raise SettingsError(()) from error
