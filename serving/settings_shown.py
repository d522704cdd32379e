"""Settings as a TOML file that can be read back, and as lines of the log.

No setting is a secret itself: tokens and keys lie in files, of which only the names are settings.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.settings import Chosen

log = logging.getLogger("exitgate")
NOT_GIVEN = "not given"


def as_toml(chosen: Mapping[str, Chosen]) -> str:
    return "\n".join(_line(one) for one in chosen.values())


def log_settings(chosen: Mapping[str, Chosen]) -> None:
    for name, one in chosen.items():
        shown = NOT_GIVEN if one.value is None else toml_value(one.value)
        fields = {"setting": name, "value": None if one.value is None else _plain(one.value)}
        log.info("%s = %s (%s)", name, shown, one.origin, extra=fields | {"origin": one.origin})


def toml_value(value: Any) -> str:
    """JSON's strings are TOML's too, but for DEL, which TOML wants escaped."""
    plain = _plain(value)
    if isinstance(plain, float):
        return repr(plain)  # JSON's Infinity and NaN are no TOML
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line(one: Chosen) -> str:
    if one.value is None:
        return f"# {one.setting.name} is {NOT_GIVEN}"
    origin = toml_value(one.origin)[1:-1]  # a comment may hold no control characters
    return f"{one.setting.name} = {toml_value(one.value)}  # {origin}"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
