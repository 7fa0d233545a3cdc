"""Validators of values in the settings file."""

import math
import re
from collections.abc import Callable
from typing import Any

from pydantic import AfterValidator, BeforeValidator


def matching(pattern: str, expectation: str) -> AfterValidator:
    """Return a validator that refuses text unless all of it matches `pattern`."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(expectation)
        return text

    return AfterValidator(check)


def quantity(read: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator that reads a quantity with `read`, which refuses a bare number for its missing unit."""

    def from_toml(value: object) -> object:
        return read(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value

    return BeforeValidator(from_toml)


def scalar(value: object) -> object:
    """Return a text, a finite number or a truth value. Raises ValueError for another one."""
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("it must be a text, a finite number, true or false")
    return value


def not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values. Raises ValueError if there are none."""
    if not values:
        raise ValueError("it must have at least one entry")
    return values
