"""Dataclasses of settings from plain nested dicts (TOML, JSON), and what differs between two of them."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from training.errors import ConfigError

Settings = dict[str, Any]
T = TypeVar("T")


def check_keys(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(f"{where}: no setting {key!r}: there is {', '.join(known)}")


def build(cls: type[T], given: Mapping[str, Any], where: str) -> T:
    """A dataclass from a dict, whose values it then checks itself.

    Unknown keys, values of another type and what is missing are ConfigErrors that name them.
    """
    values = checked(cls, given, where)
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{where}.{field.name} is missing")
    return cls(**values)


def checked(cls: type, given: Any, where: str) -> Settings:
    """The dict with all values of the types that the dataclass has, tables as dataclasses of their own."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} must be a table, got {given!r}")
    hints = get_type_hints(cls)
    check_keys(given, tuple(field.name for field in fields(cls)), where)
    return {key: _value(hints[key], value, f"{where}.{key}") for key, value in given.items()}


def overlay(base: Mapping[str, Any], above: Mapping[str, Any]) -> Settings:
    """`above` laid over `base`, table by table."""
    merged = dict(base)
    for key, value in above.items():
        below = merged.get(key)
        is_table = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(below, value) if is_table else value  # type: ignore[arg-type]
    return merged


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """What differs, a line each: `members[0].optimizer.lr was 0.1 and is 0.2`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        inner = [(old.get(key), new.get(key), f"{where}.{key}".removeprefix(".")) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        inner = [(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        return [] if old == new else [f"{where} was {old!r} and is {new!r}"]
    return [line for a, b, path in inner for line in differences(a, b, path)]


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is types.UnionType:
        inner, _ = get_args(hint)
        return None if value is None else _value(inner, value, where)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    # A bool is an int to Python, and no number to a person.
    if not isinstance(hint, type) or type(value) is not hint:
        raise ConfigError(f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r}")
    return value
