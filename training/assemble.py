"""What is said on the command line, laid over a recipe, as the configuration of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.checks import at_least, one_of
from training.config import MemberConfig, RunConfig, TrainingConfig
from training.data.config import DATASETS, DatasetConfig
from training.errors import ConfigError
from training.recipes import read_recipe
from training.selection.config import SelectionConfig
from training.settings import Settings, build, checked, overlay

PER_MEMBER = ("selection", "delta", "augmentation")

# A recipe's options that have no meaning once another name is asked for in their table.
OF_OTHERS = {
    ("selection", "none"): ("delta", "unit", "full_every", "finish"),
    ("optimizer", "adamw"): ("momentum", "nesterov"),
}


def assemble(given: Settings) -> RunConfig:
    """`given`: tables `dataset` and `training`, and `recipe`, `models`, `members`, `seed`, and lists for what
    may differ between members: `selection`, `delta`, `augmentation`, each of one value or one a member.
    """
    recipe = read_recipe(given["recipe"]) if "recipe" in given else {}
    dataset = dataset_config(given.get("dataset", {}))
    models = _models(given, recipe)
    members = []
    for model, table, own in zip(models, _tables(recipe, models), _own(given, len(models)), strict=True):
        of_recipe = over_recipe(recipe.get("training", {}), table)
        settings = over_recipe(of_recipe, overlay(given.get("training", {}), own))
        members.append(MemberConfig(model=model, training=training_config(settings, dataset.name)))
    return RunConfig(dataset=dataset, members=tuple(members), seed=given.get("seed", 0))


def dataset_config(given: Mapping[str, Any]) -> DatasetConfig:
    if "name" not in given:
        raise ConfigError("no data set is named: --dataset NAME")
    one_of("dataset", given["name"], DATASETS)
    usual = DATASETS[given["name"]]
    return DatasetConfig(**{"difficulty": usual.difficulty, "copies": usual.copies, **given})


def over_recipe(recipe: Settings, given: Settings) -> Settings:
    """What is given of a training, laid over what a recipe says, but for that which it takes the place of."""
    if "epochs" in given and "budget" in given:
        raise ConfigError(f"epochs {given['epochs']} has no meaning with budget {given['budget']}")
    below = {key: value for key, value in recipe.items() if key != "budget" or "epochs" not in given}
    for (table, name), options in OF_OTHERS.items():
        if given.get(table, {}).get("name") == name and isinstance(below.get(table), Mapping):
            below[table] = {key: value for key, value in below[table].items() if key not in options}
    return overlay(below, given)


def training_config(settings: Settings, dataset: str, where: str = "training") -> TrainingConfig:
    """With what is usual for the data set and the selection wherever nothing is said."""
    selection = checked(SelectionConfig, settings.get("selection", {}), f"{where}.selection")
    filled = {
        "augmentation": DATASETS[dataset].augmentation,
        **settings,
        "selection": SelectionConfig.usual(selection.pop("name", "none"), **selection),
    }
    training = build(TrainingConfig, filled, where)
    optimizer = settings.get("optimizer", {})
    if training.optimizer.name == "adamw" and "momentum" in optimizer:
        raise ConfigError(f"momentum {optimizer['momentum']} has no meaning with optimizer adamw")
    return training


def _models(given: Settings, recipe: Settings) -> list[str]:
    """One a member: those given, else those of the recipe's tables of members, else its `models`."""
    if "models" in given:
        return _repeated(given["models"], given.get("members"))
    tables = recipe.get("member", [])
    named = recipe.get("models") or [table["model"] for table in tables if "model" in table]
    models = _repeated(named, given.get("members", recipe.get("members", len(tables) or None)))
    if len(tables) != len(models):
        return models
    return [table.get("model", model) for table, model in zip(tables, models, strict=True)]


def _repeated(models: list[str], count: int | None) -> list[str]:
    if not models:
        raise ConfigError("no model is named: --models A,B,... or a --recipe that names some")
    if count is None:
        return models
    at_least("members", count, 1)
    if len(models) not in (1, count):
        raise ConfigError(f"members {count} does not go with the {len(models)} models {','.join(models)}")
    return models * (count // len(models))


def _tables(recipe: Settings, models: list[str]) -> list[Settings]:
    """What a recipe says of each member's training alone."""
    tables = recipe.get("member", [{}] * len(models))
    if len(tables) != len(models):
        raise ConfigError(f"the recipe describes {len(tables)} members, and there are {len(models)}")
    return [{key: value for key, value in table.items() if key != "model"} for table in tables]


def _own(given: Settings, num_members: int) -> list[Settings]:
    """What is given for each member alone."""
    lists = {name: _spread(name, given[name], num_members) for name in PER_MEMBER if name in given}
    if len(given.get("selection", ())) > 1 and len(given.get("delta", ())) == 1:
        # One delta for all: for all that take one.
        pairs = zip(lists["selection"], lists["delta"], strict=True)
        lists["delta"] = [None if name == "none" else delta for name, delta in pairs]
    return [_placed({name: values[index] for name, values in lists.items()}) for index in range(num_members)]


def _spread(name: str, values: Sequence[Any], num_members: int) -> list[Any]:
    if len(values) not in (1, num_members):
        raise ConfigError(
            f"{name} takes one value, or one for each of {num_members} members, got {len(values)}"
        )
    return list(values) * (num_members // len(values))


def _placed(values: Settings) -> Settings:
    """Where a member's own values belong among the settings; nothing is said where a delta is left empty."""
    selection = {
        key: values[name]
        for key, name in (("name", "selection"), ("delta", "delta"))
        if values.get(name) is not None
    }
    placed: Settings = {"selection": selection} if selection else {}
    if "augmentation" in values:
        placed["augmentation"] = values["augmentation"]
    return placed
