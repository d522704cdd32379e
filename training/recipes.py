"""Recipes: TOML files of settings, those that come with the project by name, others by path.

description = "one line"
models = ["small:resnet18"]
members = 3                      how many where one model is named (default 1)
[training]                       fields of TrainingConfig; [training.optimizer], [training.schedule] and
                                 [training.selection] likewise
[[member]]                       one table a member, with what it has of its own: model, or any field of
                                 [training]; `models` and `members` may then be left out
"""

import tomllib
from pathlib import Path
from typing import Any

from training.errors import ConfigError
from training.settings import Settings, check_keys

FOLDER = Path(__file__).parent / "recipes"
KINDS = {
    "description": "text",
    "models": "a list of names",
    "members": "a whole number",
    "training": "a table",
    "member": "tables [[member]]",
}


def recipe_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def read_recipe(name: str) -> Settings:
    """The settings of a recipe. ConfigError where there is none, or it is no recipe."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        names = ", ".join(recipe_names())
        raise ConfigError(f"no recipe {name!r}: there is {names}, or a path that ends in .toml") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"recipe {path} can't be read: {error}") from error
    check_keys(settings, tuple(KINDS), f"recipe {name}")
    for key, value in settings.items():
        if not _is_of_kind(key, value):
            raise ConfigError(f"recipe {name}: {key} must be {KINDS[key]}, got {value!r}")
    for table in settings.get("member", []):
        if not isinstance(table.get("model", ""), str):
            raise ConfigError(f"recipe {name}: a member's model must be a name, got {table['model']!r}")
    return settings


def _is_of_kind(key: str, value: Any) -> bool:
    match key:
        case "description":
            return isinstance(value, str)
        case "models":
            return isinstance(value, list) and all(isinstance(model, str) for model in value)
        case "members":
            return type(value) is int
        case "training":
            return isinstance(value, dict)
        case _:
            return isinstance(value, list) and all(isinstance(table, dict) for table in value)
