"""Base of the settings of a process: environment variables and the settings file, read once at its start.

`bot.settings` and `workers.settings` add their own variables. Secrets never appear in `repr` or in an error.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict
from redis import ConnectionPool

from workers.contract.settings import SettingsError, SettingsFile
from workers.contract.settings_reader import describe_mistake, read_settings_file


def _check_redis_url(url: str) -> str:
    try:
        ConnectionPool.from_url(url)
    except ValueError:  # its message may contain the password
        raise ValueError("write an address like redis://127.0.0.1:6379/0, or rediss:// for TLS") from None
    return url


def _read_file(path: str) -> SettingsFile:
    try:
        return read_settings_file(Path(path))
    except SettingsError as error:
        raise PydanticCustomError("settings_file", "invalid", {"mistakes": error.mistakes}) from error


class ProcessSettings(BaseSettings):
    """Settings of both the bot and the worker. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        frozen=True, case_sensitive=True, hide_input_in_errors=True, alias_generator=str.upper
    )

    redis_url: Annotated[str, AfterValidator(_check_redis_url)] = Field("redis://127.0.0.1:6379/0", repr=False)
    config: Path = Field(Path("seatrial.toml"), alias="SEATRIAL_CONFIG")
    """The path of the settings file. Default: seatrial.toml in the working folder."""
    file: Annotated[SettingsFile, NoDecode, BeforeValidator(_read_file)] = Field(
        "seatrial.toml", alias="SEATRIAL_CONFIG", validate_default=True, repr=False
    )

    @classmethod
    def settings_customise_sources(cls, settings_cls: type[BaseSettings], *sources: Any, **by_name: Any) -> Any:
        """Use the values of `read` only, and never os.environ."""
        return (by_name["init_settings"],)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read `environ` and the settings file that it names. Raises SettingsError with every mistake."""
        source = EnvSettingsSource(cls)
        source.env_vars = {name: text for name, text in environ.items() if text}
        try:
            return cls(**source())
        except ValidationError as error:
            mistakes = [mistake for detail in error.errors() for mistake in cls._mistakes(detail)]
            raise SettingsError(tuple(mistakes)) from None

    @classmethod
    def _mistakes(cls, detail: Any) -> Sequence[str]:
        if detail["type"] == "settings_file":
            return cast(Sequence[str], detail["ctx"]["mistakes"])
        # The location is the variable's name, or the field's name if the default is refused.
        [name] = detail["loc"]
        field = next(field for key, field in cls.model_fields.items() if name in (key, field.alias))
        return (describe_mistake({**detail, "loc": (field.alias,)}, secret=not field.repr),)
