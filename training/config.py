"""Every setting of a training, checked where it is made. Nothing here needs torch."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.budget import Budget
from training.checks import MAX_SEED, at_least, at_most, one_of
from training.data.config import AUGMENTATIONS, DatasetConfig
from training.errors import ConfigError
from training.schedule import SCHEDULES
from training.selection.config import SelectionConfig
from training.settings import Settings

OPTIMIZERS = ("sgd", "adamw")
PRECISIONS = ("fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda")

UNRECORDED = ("data_root", "download")
"""Where data lies is no setting: what it is goes into the run as a fingerprint."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """decay_norms: weight decay also on what has one dimension (biases, normalisation)."""

    name: str = "sgd"
    lr: float = 0.01
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    decay_norms: bool = True

    def __post_init__(self) -> None:
        one_of("optimizer", self.name, OPTIMIZERS)
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ConfigError(f"lr must be a number above 0, got {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay must be a number of 0 or more, got {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise ConfigError("nesterov goes with optimizer sgd and a momentum above 0")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """warmup: the first share of the budget, in which the rate rises."""

    name: str = "cosine"
    warmup: float = 0.0

    def __post_init__(self) -> None:
        one_of("schedule", self.name, SCHEDULES)
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup must be in [0, 1), got {self.warmup}")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How one member is trained. An epoch is as many updates as the train split has full batches.

    budget: instead of a number of epochs. threads: of torch on the CPU; another number is another rounding.
    channels_last: the layout of weights in memory, faster on most devices.
    """

    epochs: int = 20
    budget: Budget | None = None
    batch_size: int = 32
    augmentation: str = "none"
    label_smoothing: float = 0.0
    precision: str = "fp32"
    channels_last: bool = False
    device: str = "auto"
    threads: int = 1
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def __post_init__(self) -> None:
        at_least("epochs", self.epochs, 1)
        # Batch normalisation can't normalise over a single value.
        at_least("batch_size", self.batch_size, 2)
        at_least("threads", self.threads, 1)
        one_of("augmentation", self.augmentation, AUGMENTATIONS)
        one_of("precision", self.precision, PRECISIONS)
        one_of("device", self.device, DEVICES)
        if self.precision == "fp16" and self.device == "cpu":
            raise ConfigError("precision fp16 needs device cuda; bf16 runs on a CPU too")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    def budget_for(self, num_batches: int) -> Budget:
        return self.budget or Budget(unit="updates", amount=self.epochs * num_batches)


@dataclass(frozen=True, kw_only=True)
class MemberConfig:
    model: str
    training: TrainingConfig

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("models must be names parted by commas, got an empty one")


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Where the run goes, and what happens to what is there.

    resume: go on with the unfinished run in `partial`. member: train this one alone, beside others that may
    be training the rest. checkpoint_s: seconds between checkpoints.
    """

    out: Path
    overwrite: bool = False
    resume: bool = False
    member: int | None = None
    jobs: int = 1
    checkpoint_s: float = 60.0

    def __post_init__(self) -> None:
        at_least("jobs", self.jobs, 1)
        if not self.checkpoint_s >= 0:
            raise ConfigError(f"checkpoint_seconds must be 0 or more, got {self.checkpoint_s}")
        if self.out.name in ("", ".."):
            raise ConfigError(f"out must name a folder, got {self.out}")
        if self.member is not None and self.overwrite:
            raise ConfigError("--overwrite does not go with --member: others may be at work on the run")

    @property
    def partial(self) -> Path:
        """The run until all its members are trained."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def joins(self) -> bool:
        """Whether an unfinished run is gone on with rather than refused."""
        return self.resume or self.member is not None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run. Members differ by their number, with which the seed is mixed, and as they are told to."""

    dataset: DatasetConfig
    members: tuple[MemberConfig, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_most("seed", self.seed, MAX_SEED)
        if not self.members:
            raise ConfigError("a run needs at least one model")
        for index, member in enumerate(self.members):
            if index == 0 and member.training.selection.needs_earlier:
                raise ConfigError(f"selection {member.training.selection.name} needs members before it")

    @property
    def settings(self) -> Settings:
        """All that a run is made of, as JSON would hold it."""
        settings: Settings = plain(asdict(self))
        return settings | {
            "dataset": {key: value for key, value in settings["dataset"].items() if key not in UNRECORDED}
        }


def plain(value: Any) -> Any:
    """Nested settings with lists for tuples and text for paths."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
