"""CSV files of the local warehouse: how they are read, and what is wrong with one that cannot be."""

import csv
import re
from collections import Counter
from typing import TYPE_CHECKING

from workers.contract.formatting import show_count
from workers.contract.table_files import TableFile
from workers.platforms.embedded.googlesql.values import quoted

if TYPE_CHECKING:
    from pathlib import Path

DELIMITERS = ",;|\t"
_DUCKDB = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "BOOL": "BOOLEAN",
    "NUMERIC": "DECIMAL(38,9)",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "BYTES": "VARCHAR",  # base64, as BigQuery loads them; decoded afterwards
}
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_VALUE = re.compile(r'Error when converting column "(.*)"\. Could not convert string "(.*)" to \'(.*)\'')
_WIDTH = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_MAX_QUOTED_CHARACTERS = 60


class UnreadableFile(Exception):
    """The file is not what its settings say. `advice` is a sentence."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.advice = advice


def reader(path: "Path", table: TableFile) -> str:
    """Return DuckDB's call that reads the file, without detection of what the settings or the header say.

    Raises UnreadableFile for a header that cannot be right.
    """
    delimiter, names = _header(path, table)
    _check_header(names, table, delimiter)
    types = ", ".join(f"{quoted(name)}: {quoted(_DUCKDB[type_])}" for name, type_ in table.types.items())
    options = {
        "header": "true",
        "skip": "0",
        "delim": quoted(delimiter),
        "quote": quoted('"'),
        "escape": quoted('"'),
        "comment": "''",
        "nullstr": quoted(table.null),
        "allow_quoted_nulls": "false",
        "dateformat": "'%Y-%m-%d'",
        "encoding": quoted(table.encoding),
    }
    if types:
        options["types"] = f"{{{types}}}"
    return f"read_csv({quoted(str(path))}, {', '.join(f'{name} = {value}' for name, value in options.items())})"


def _header(path: "Path", table: TableFile) -> tuple[str, list[str]]:
    """Return the delimiter and the names in the first line."""
    encoding = "utf-8-sig" if table.encoding == "utf-8" else table.encoding
    try:
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline()
            frequency = Counter(first)
            delimiter = table.delimiter or max(DELIMITERS, key=lambda character: frequency[character])
            file.seek(0)
            return delimiter, next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeError:
        raise _wrong_encoding(table) from None


def _wrong_encoding(table: TableFile) -> UnreadableFile:
    others = " or ".join(f'"{name}"' for name in ("utf-8", "latin-1", "utf-16") if name != table.encoding)
    return UnreadableFile(f"it is not encoded in {table.encoding}.", f"Set encoding = {others}.")


def _check_header(names: list[str], table: TableFile, delimiter: str) -> None:
    if numbers := [name for name in names if re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", name.strip(), re.IGNORECASE)]:
        raise UnreadableFile(f'its first line is no header: it has the value "{numbers[0]}".', "Add a line of names.")
    if not all(name.strip() for name in names):
        raise UnreadableFile("its header has a column without a name.", "Name each column in the first line.")
    repeated = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if repeated:
        raise UnreadableFile(f'it has more than one column "{repeated[0]}" (case is ignored).', "Rename all but one.")
    other = next((item for item in DELIMITERS if item != delimiter and len(names) == 1 and item in names[0]), "")
    if other:
        shown = "a tab" if other == "\t" else f'"{other}"'
        raise UnreadableFile(f'it has one column, "{names[0]:.60}".', f"Set delimiter to {shown}.")
    if unknown := sorted(table.types.keys() - set(names)):
        raise UnreadableFile(f'types names "{unknown[0]}", and it has {", ".join(names)}.', "Correct types.")


def cause(message: str, path: "Path", table: TableFile) -> UnreadableFile:
    """Return what is wrong with a file that DuckDB refused with `message`."""
    line = f"line {found[1]}: " if (found := _LINE.search(message)) else ""
    if found := _VALUE.search(message):
        column, value, type_ = found.groups()
        name = next((name for name, duckdb in _DUCKDB.items() if duckdb == type_), type_)
        shown = f'"{value:.{_MAX_QUOTED_CHARACTERS}}"'
        advice = f'Correct the value, or set null = {shown} or types = {{ {column} = "STRING" }}.'
        return UnreadableFile(f"{line}{shown} in the column {column} is no {name}.", advice)
    if "unicode" in message:
        return _wrong_encoding(table)
    return _ragged_line(path, table) or UnreadableFile(
        f"{line}{_first_sentence(message)}.", "Use a CSV file with a header line, or a Parquet file."
    )


def _ragged_line(path: "Path", table: TableFile) -> UnreadableFile | None:
    """Return the first line with another number of values than the header, or None."""
    delimiter, names = _header(path, table)
    encoding = "utf-8-sig" if table.encoding == "utf-8" else table.encoding
    with path.open(encoding=encoding, newline="", errors="replace") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in rows:
                if len(row) not in (0, len(names)):
                    problem = f"line {rows.line_num} has {show_count(len(row), 'value')}, and the header {len(names)}."
                    return UnreadableFile(problem, "Correct the line, or set delimiter.")
        except csv.Error:
            return UnreadableFile(f"line {rows.line_num}: a quote is not closed.", "Close or double the quote.")
    return None


def _first_sentence(message: str) -> str:
    lines = message.partition("Error: ")[2].partition("\n\n")[0].splitlines()
    return " ".join(line.strip() for line in lines[:2]).rstrip(".!")
