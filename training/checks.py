"""Checks of a setting; each raises ConfigError with the setting's name and value."""

from collections.abc import Iterable

from training.errors import ConfigError

MAX_SEED = 2**32 - 1


def one_of(field_name: str, value: str, known: Iterable[str]) -> None:
    names = tuple(known)
    if value not in names:
        raise ConfigError(f"no {field_name} {value!r}: there is {', '.join(names)}")


def at_least(field_name: str, value: int, lowest: int) -> None:
    if value < lowest:
        raise ConfigError(f"{field_name} must be {lowest} or more, got {value}")


def at_most(field_name: str, value: int, highest: int) -> None:
    if value > highest:
        raise ConfigError(f"{field_name} must be {highest} or less, got {value}")


def within(field_name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise ConfigError(f"{field_name} must be between {lowest} and {highest}, got {value}")
