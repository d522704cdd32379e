"""Where settings come from: flags, else variables of the environment, else a TOML file, else the defaults.

Every source is read and checked in full, also where another overrides it.
"""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from serving.config import BadSetting
from serving.errors import StartupError
from serving.settings import PREFIX, SETTINGS, Chosen, Setting

BY_NAME = {setting.name: setting for setting in SETTINGS}
BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
CONFIG_VARIABLE = PREFIX + "CONFIG"
Choices = dict[str, Chosen]


def choose(flags: Mapping[str, Any], environment: Mapping[str, str], config: str | None = None) -> Choices:
    """Every setting by its name. `flags` has those that were given; `config` is the file that one named."""
    file = environment.get(CONFIG_VARIABLE) if config is None else config
    return {
        **{setting.name: Chosen(setting, setting.default, "default", setting.flag) for setting in SETTINGS},
        **({} if file is None else _from_file(Path(file))),
        **_from_environment(environment),
        **_from_flags(flags),
    }


def _from_flags(flags: Mapping[str, Any]) -> Choices:
    return {name: _read(BY_NAME[name], value, "flag", BY_NAME[name].flag) for name, value in flags.items()}


def _from_environment(environment: Mapping[str, str]) -> Choices:
    found = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable not in BY_VARIABLE:
            hint = _hint(variable, (*BY_VARIABLE, CONFIG_VARIABLE), PREFIX)
            raise StartupError(f"{variable} in the environment is no setting{hint}")
        setting = BY_VARIABLE[variable]
        found[setting.name] = _read(setting, environment[variable], variable, variable)
    return found


def _from_file(file: Path) -> Choices:
    found = {}
    for key, value in _parsed(file).items():
        if key not in BY_NAME:
            raise StartupError(f"{file}: {key!r} is no setting{_hint(key, BY_NAME)}")
        place = f"{key} in {file}"
        if type(value) not in BY_NAME[key].kind.toml_types:
            raise BadSetting(key, value, BY_NAME[key].kind.expected, place)
        found[key] = _read(BY_NAME[key], value, str(file), place)
    return found


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartupError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartupError(f"{file} is no TOML: {error}") from None


def _read(setting: Setting, value: Any, origin: str, place: str) -> Chosen:
    try:
        return Chosen(setting, setting.kind.read(value), origin, place)
    except (ValueError, OverflowError):
        raise BadSetting(setting.name, value, setting.kind.expected, place) from None


def _hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """What all have in common makes nothing alike."""
    near = get_close_matches(name.removeprefix(prefix), [one.removeprefix(prefix) for one in known], n=1)
    return f"; do you mean {prefix}{near[0]}?" if near else ""
