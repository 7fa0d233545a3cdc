"""`python -m workers query`: a query in the warehouse of this machine, to try the SQL of a training."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from workers.contract.settings import SettingsFile
from workers.contract.settings_reader import read_settings_file
from workers.errors import PermanentError
from workers.platforms.connect import query_here


def query(words: list[str], environ: Mapping[str, str]) -> int:
    """Print the answer as JSON, or with --explain the translation. Return 0, or 1 if the query is refused or stops.

    `[tables]` comes from the settings file; without one, the query has the public irises only. Raises SettingsError.
    """
    parser = argparse.ArgumentParser(prog="seatrial query", description="Run a query on this machine.")
    parser.add_argument("sql", nargs="?", help="a query in GoogleSQL")
    parser.add_argument("--file", type=Path, help="read the query from this file")
    parser.add_argument("--explain", action="store_true", help="print how the query is translated, and do not run it")
    given = parser.parse_args(words)
    if (given.sql is None) == (given.file is None):
        parser.error("give a query, or --file with its path")
    try:
        sql = given.sql if given.file is None else given.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"{given.file} cannot be read: {error}")
    config = Path(environ.get("SEATRIAL_CONFIG") or "seatrial.toml")
    is_default = not environ.get("SEATRIAL_CONFIG")
    file = SettingsFile() if is_default and not config.exists() else read_settings_file(config)
    try:
        for part in query_here(sql, file=file, folder=config.parent, explain=given.explain):
            sys.stdout.write(part)
        return 0
    except PermanentError as error:
        print(error, error.advice, sep="\n", file=sys.stderr)
        return 1
