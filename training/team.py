"""The processes that train one member together, as `torchrun` starts them; usually one alone."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.batchnorm import convert_batchnorm
from training.errors import ConfigError
from training.selection.table import Floats


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What all must agree on after an update. Of `seconds` and `save` the first process's hold for all."""

    stop: bool = False
    save: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Team:
    """Process `rank` of `size`. Each takes an equal share of every batch; all know all losses."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, num_rows: int) -> slice:
        """The rows of a batch that this process runs."""
        return slice(num_rows * self.rank // self.size, num_rows * (self.rank + 1) // self.size)

    def join(self, model: nn.Module) -> nn.Module:
        """The model as it is run in training: gradients averaged, batch statistics of the whole batch."""
        if self.size == 1:
            return model
        convert_batchnorm(model)
        # Its hint that gradients of 1x1 convolutions lie in another order in memory; nothing is wrong.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        return DistributedDataParallel(model)

    def exchange(self, local: Tensor, signals: Signals) -> tuple[Floats, Signals]:
        """Values of all processes in the order of the rows, the same in each, and signals agreed on."""
        if self.size == 1:
            return np.asarray(local.double().cpu().numpy()), signals
        mine = torch.tensor([signals.stop, signals.save, signals.seconds], dtype=torch.float64)
        parts = self.gather(torch.cat([local.detach().double().cpu(), mine]))
        told = torch.stack([part[-3:] for part in parts])
        values = torch.cat([part[:-3] for part in parts]).numpy()
        return values, Signals(stop=bool(told[:, 0].any()), save=bool(told[0, 1]), seconds=float(told[0, 2]))

    def gather(self, local: Tensor) -> list[Tensor]:
        """The tensor of each process, in the order of ranks; they may differ in length."""
        if self.size == 1:
            return [local]
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(local)]), group=_cpu_group())
        longest = max(int(length) for length in lengths)
        parts = [torch.zeros(longest, dtype=local.dtype) for _ in range(self.size)]
        dist.all_gather(parts, nn.functional.pad(local, (0, longest - len(local))), group=_cpu_group())
        return [part[: int(length)] for part, length in zip(parts, lengths, strict=True)]

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier(group=_cpu_group())


ALONE = Team()
_group: Any = None


def team_size() -> int:
    """Processes that torchrun has started, 1 where it has not."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def teamed() -> Iterator[Team]:
    """The team that torchrun's environment tells of: nccl for what lies on GPUs, gloo for the rest."""
    if team_size() == 1:
        yield ALONE
        return
    global _group
    if torch.cuda.is_available():
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    # Losses and signals are small and live on the CPU, whatever the gradients' way.
    _group = dist.new_group(backend="gloo")
    try:
        yield Team(rank=dist.get_rank(), size=dist.get_world_size())
    finally:
        dist.destroy_process_group()
        _group = None


def _take_gpu(local_rank: int) -> None:
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU: it has {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(local_rank)


def check_divides(batch_size: int, size: int) -> None:
    if batch_size % size:
        raise ConfigError(f"batch_size must be a multiple of the {size} processes, got {batch_size}")


def _cpu_group() -> Any:
    assert _group is not None, "a team of several is made by `teamed`"
    return _group
