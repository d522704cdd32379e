"""Reading JSON objects strictly: every key known, every value of the type it should have."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cascade.errors import FormatError


class Fields:
    """A JSON object being read. `close` refuses whatever was not asked for."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where}: expected an object, got {_kind(value)}")
        self._rest = dict(value)
        self.where = where

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        if key not in self._rest:
            if default is ...:
                raise FormatError(f"{self.where}: {key!r} is missing")
            return default
        value = self._rest.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise FormatError(f"{self.where}: {key!r} is {_kind(value)}, which does not belong there")
        return value

    def version(self, supported: int) -> None:
        found = self.take("format_version", int)
        if found != supported:
            raise FormatError(f"{self.where}: format_version {found} is unknown; this reads {supported}")

    def close(self) -> None:
        if self._rest:
            raise FormatError(f"{self.where}: unknown keys: {', '.join(sorted(self._rest))}")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), f"the number {value:.6g}" if isinstance(value, float) else "a whole number")


def strings(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FormatError(f"{where}: expected a list of strings")
    return tuple(value)


def numbers(value: object, where: str) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise FormatError(f"{where}: expected a list of numbers, got {_kind(value)}")
    return tuple(number(item, where) for item in value)


def number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise FormatError(f"{where}: expected a finite number, got {_kind(value)}")
    return float(value)


def read_json(path: Path) -> Any:
    """Parse a file, or say in one line what is wrong with it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error})") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({error})") from None


def _refuse_constant(name: str) -> None:
    """Python's parser knows NaN and Infinity; JSON does not."""
    raise ValueError(f"{name} is no number")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write aside, sync, rename: a reader sees the old file or the new one, never half."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    if not path.parent.is_dir():
        raise FormatError(f"{path}: no such folder")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
