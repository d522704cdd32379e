"""What is compared: arms, seeds and label sets, and the one setting that they all share."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from training.assemble import dataset_config, over_recipe, training_config
from training.checks import at_least
from training.compare.results import Arm
from training.config import TrainingConfig, plain
from training.data.config import DatasetConfig
from training.errors import ConfigError
from training.recipes import read_recipe
from training.selection.config import SelectionConfig
from training.settings import Settings

OWN = "own"
"""The data set's own labels, among the names of label sets."""

SETTINGS = "settings.json"
"""In a comparison's folder: what its runs have been trained with."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`selections` are the arms' names and deltas in order; `base` is what they share.

    earlier: a finished run whose members stand before the compared one, for selections that ask for some.
    """

    dataset: DatasetConfig
    model: str
    base: TrainingConfig
    selections: tuple[SelectionConfig, ...]
    labels: tuple[str, ...] = (OWN,)
    num_seeds: int = 3
    target_accuracy: float | None = None
    earlier: Path | None = None

    def __post_init__(self) -> None:
        at_least("seeds", self.num_seeds, 1)
        if not self.selections:
            raise ConfigError("no selection is named: --selections none,hard-batch,...")
        if self.target_accuracy is not None and not 0 < self.target_accuracy < 1:
            raise ConfigError(f"target_accuracy must lie between 0 and 1, got {self.target_accuracy}")
        if set(self.labels) != {OWN} and self.dataset.train_labels is None:
            raise ConfigError(f"labels {', '.join(self.labels)}: --train-labels says in which file they are")
        for selection in self.selections:
            if selection.needs_earlier and self.earlier is None:
                raise ConfigError(f"selection {selection.name} needs members before it: --earlier RUN")

    def arm(self, selection: SelectionConfig, labels: str) -> Arm:
        return Arm(selection=selection.name, delta=selection.delta, labels="" if labels == OWN else labels)

    def training(self, selection: SelectionConfig) -> TrainingConfig:
        return replace(self.base, selection=selection)

    def dataset_with(self, labels: str) -> DatasetConfig:
        if labels == OWN:
            return replace(self.dataset, train_labels=None, train_labels_key=None)
        is_archive = self.dataset.train_labels is not None and self.dataset.train_labels.suffix == ".npz"
        return replace(self.dataset, train_labels_key=labels if is_archive else None)

    @property
    def shared_settings(self) -> Settings:
        """What all runs of the folder have in common: arms, labels and seeds may be added to it later."""
        base: Settings = plain(asdict(self.base))
        del base["selection"]
        dataset: Settings = plain(asdict(self.dataset))
        for key in ("data_root", "download", "train_labels"):
            del dataset[key]
        return {"model": self.model, "training": base, "dataset": dataset}


def comparison(given: Settings) -> Comparison:
    """From what is said on the command line, laid over a recipe."""
    recipe = read_recipe(given["recipe"]) if "recipe" in given else {}
    dataset = dataset_config(given["dataset"])
    settings = over_recipe(recipe.get("training", {}), given.get("training", {}))
    options = {**settings.pop("selection", {})}
    options.pop("name", None)
    options.pop("delta", None)
    model = given.get("model") or next(iter(recipe.get("models", ())), None)
    if model is None:
        raise ConfigError("no model is named: --model NAME or a --recipe that names one")
    return Comparison(
        dataset=dataset,
        model=model,
        base=training_config(settings, dataset.name),
        selections=tuple(_selections(given.get("selections", ()), given.get("deltas", (0.5,)), options)),
        labels=tuple(given.get("labels", (OWN,))),
        num_seeds=given.get("seeds", 3),
        target_accuracy=given.get("target_accuracy"),
        earlier=given.get("earlier"),
    )


def _selections(
    names: Sequence[str], deltas: Sequence[float | None], options: Settings
) -> list[SelectionConfig]:
    """Every selection at every delta, but `none`, and `name:delta`, which is at its own alone."""
    if None in deltas:
        raise ConfigError("deltas must be numbers parted by commas, got an empty one")
    found: list[SelectionConfig] = []
    for text in names:
        name, _, own = text.partition(":")
        if name == "none":
            found.append(SelectionConfig.usual(name))
        else:
            at = [_number(own)] if own else deltas
            found += [SelectionConfig.usual(name, delta=delta, **options) for delta in at]
    if len(set(found)) < len(found):
        raise ConfigError(f"a selection is named twice at the same delta: {', '.join(names)}")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"delta must be a number, got {text!r}") from None
