"""Every setting of a training, checked where it is made. Nothing here needs torch."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from training.checks import MAX_SEED, at_least, at_most, one_of
from training.data.config import DatasetConfig
from training.errors import ConfigError
from training.schedule import SCHEDULES
from training.selection.rules import SELECTIONS

OPTIMIZERS = ("sgd", "adamw")
AUGMENTATIONS = ("none", "standard")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    name: str = "sgd"
    lr: float = 0.01
    weight_decay: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        one_of("optimizer", self.name, OPTIMIZERS)
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ConfigError(f"lr must be a number above 0, got {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay must be a number of 0 or more, got {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must be in [0, 1), got {self.momentum}")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    name: str = "cosine"
    warmup_updates: int = 0

    def __post_init__(self) -> None:
        one_of("schedule", self.name, SCHEDULES)
        at_least("warmup_updates", self.warmup_updates, 0)


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    name: str = "none"
    delta: float = 1.0

    def __post_init__(self) -> None:
        one_of("selection", self.name, SELECTIONS)
        if not 0 < self.delta <= 1:
            raise ConfigError(f"delta must be in (0, 1], got {self.delta}")
        if self.name == "none" and self.delta != 1:
            raise ConfigError(f"delta {self.delta} has no meaning with selection none")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How one member is trained. An epoch is as many updates as the train split has full batches.

    augmentation: `standard` shifts and mirrors the training rows at random.
    """

    epochs: int = 20
    batch_size: int = 32
    seed: int = 0
    augmentation: str = "none"
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def __post_init__(self) -> None:
        at_least("epochs", self.epochs, 1)
        # Batch normalisation can't normalise over a single value.
        at_least("batch_size", self.batch_size, 2)
        at_least("seed", self.seed, 0)
        at_most("seed", self.seed, MAX_SEED)
        one_of("augmentation", self.augmentation, AUGMENTATIONS)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run: member i is `models[i]`, trained with seed `training.seed + i`."""

    out: Path
    models: tuple[str, ...]
    dataset: DatasetConfig
    training: TrainingConfig
    jobs: int
    overwrite: bool = False

    def __post_init__(self) -> None:
        at_least("jobs", self.jobs, 1)
        at_most("seed", self.training.seed, MAX_SEED - len(self.models) + 1)
        if not self.models or not all(self.models):
            raise ConfigError(f"models must be names parted by commas, got {','.join(self.models)!r}")
        check_out(self.out, overwrite=self.overwrite)


def check_out(out: Path, *, overwrite: bool) -> None:
    """ConfigError unless a run may be written to `out` as things stand."""
    if out.name in ("", ".."):
        raise ConfigError(f"out must name a folder, got {out}")
    if not out.exists():
        return
    if not overwrite:
        raise ConfigError(f"out {out} exists already: choose another or add --overwrite")
    # Replacing means deleting, so only what is plainly ours may be replaced.
    if not (out / "run.json").is_file():
        raise ConfigError(f"out {out} holds no run.json, so --overwrite will not replace it")
