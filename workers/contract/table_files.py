"""`[tables]` of the settings: files of the local warehouse, with what their contents do not say themselves."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

ColumnType = Literal["STRING", "INT64", "FLOAT64", "BOOL", "NUMERIC", "DATE", "DATETIME", "TIME", "TIMESTAMP", "BYTES"]
"""BigQuery's types of columns that a CSV file can hold."""


def _file(path: str) -> str:
    if not path.endswith((".csv", ".parquet")):
        raise ValueError("it must be a .csv or .parquet file")
    return path


class TableFile(BaseModel):
    """A table in a CSV file with a header line, or in a Parquet file, which has types of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    file: Annotated[str, AfterValidator(_file)]
    """The path, relative to the settings file."""
    types: dict[str, ColumnType] = {}
    """Types of columns by name. Default: detected from the first 20,480 lines."""
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    null: str = ""
    """The text that stands for NULL, BigQuery's null_marker. Default: nothing between two delimiters."""
    delimiter: str = Field(default="", max_length=1)
    """The character between two values. Default: the one of , ; | and tab that is most frequent in the header."""


def _shape(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


TableSetting = Annotated[TableFile, BeforeValidator(_shape)]
"""A path alone, or a table of these keys."""
