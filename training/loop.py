"""The training of one member, from a fresh model to the state that validated best."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.config import OptimizerConfig, TrainingConfig
from training.data.augmentation import augment
from training.data.splits import Split
from training.errors import DivergedError
from training.plan import BatchPlan, Visit
from training.records import EpochRecord, Tally
from training.schedule import learning_rate
from training.selection.rules import SELECTIONS

EVALUATION_ROWS = 512

Weights = dict[str, Tensor]
OnUpdate = Callable[[Visit], None]
OnEpoch = Callable[[EpochRecord], None]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """images: uint8 (N, H, W, C); labels: int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that an update changes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    plan: BatchPlan
    augmenting: torch.Generator | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The weights of best validation accuracy (of equals the lower NLL), and a record of every epoch."""

    weights: Weights
    best: EpochRecord
    records: tuple[EpochRecord, ...]


def train(
    model: nn.Module,
    train_rows: Rows,
    validation_rows: Rows,
    config: TrainingConfig,
    *,
    on_update: OnUpdate = lambda visit: None,
    on_epoch: OnEpoch = lambda record: None,
) -> Outcome:
    """Trains `model` in place for `config.epochs` times N updates, N being the full batches there are.

    Raises DivergedError when a loss is not finite, in training or in validation.
    """
    state = start(model, len(train_rows.labels), config)
    started = time.monotonic()
    records: list[EpochRecord] = []
    weights: Weights = {}
    for epoch in range(1, config.epochs + 1):
        tally = train_epoch(state, train_rows, epoch, config, on_update)
        accuracy, nll = evaluate(model, validation_rows)
        if not math.isfinite(nll):
            raise DivergedError(
                f"the validation loss is {nll} after epoch {epoch}, with lr {config.optimizer.lr}"
            )
        seconds = time.monotonic() - started
        record = tally.close(epoch, config.batch_size, accuracy=accuracy, nll=nll, seconds=seconds)
        if not records or record.rank > max(earlier.rank for earlier in records):
            weights = snapshot(model)
        records.append(record)
        on_epoch(record)
    return Outcome(weights=weights, best=max(records, key=lambda record: record.rank), records=tuple(records))


def start(model: nn.Module, num_rows: int, config: TrainingConfig) -> State:
    plan = BatchPlan(
        SELECTIONS[config.selection.name],
        num_rows=num_rows,
        batch_size=config.batch_size,
        delta=config.selection.delta,
        generator=np.random.default_rng(config.seed),
    )
    return State(
        model=model,
        optimizer=make_optimizer(model.parameters(), config.optimizer),
        plan=plan,
        augmenting=None if config.augmentation == "none" else torch.Generator().manual_seed(config.seed),
    )


def train_epoch(
    state: State, rows: Rows, epoch: int, config: TrainingConfig, on_update: OnUpdate = lambda visit: None
) -> Tally:
    """The N updates of epoch 1, 2, ..."""
    state.model.train()
    N = state.plan.num_batches
    tally = Tally()
    for update in range((epoch - 1) * N, epoch * N):
        rate = _rate(update, config.epochs * N, config)
        visit = state.plan.next()
        loss = train_batch(state.model, state.optimizer, rate, *_take(rows, visit, state.augmenting))
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss} at update {update}, with lr {config.optimizer.lr}")
        state.plan.record(visit, loss)
        tally.add(visit, loss, rate)
        on_update(visit)
    return tally


def rows_of(split: Split) -> Rows:
    if split.labels is None:
        raise ValueError("rows without labels can't be trained on")
    return Rows(images=torch.from_numpy(split.images), labels=torch.from_numpy(split.labels))


def train_batch(
    model: nn.Module, optimizer: torch.optim.Optimizer, rate: float, images: Tensor, labels: Tensor
) -> float:
    """One update; returns the mean loss of the forward before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = nn.functional.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())


def evaluate(model: nn.Module, rows: Rows) -> tuple[float, float]:
    """Accuracy and mean negative log-likelihood, in eval mode."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(images) for images in torch.split(rows.images, EVALUATION_ROWS)])
    accuracy = (logits.argmax(dim=1) == rows.labels).double().mean()
    nll = nn.functional.cross_entropy(logits.double(), rows.labels)
    return float(accuracy), float(nll)


def make_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )


def snapshot(model: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _rate(update: int, num_updates: int, config: TrainingConfig) -> float:
    return learning_rate(
        update,
        schedule=config.schedule.name,
        base=config.optimizer.lr,
        num_updates=num_updates,
        warmup_updates=config.schedule.warmup_updates,
    )


def _take(rows: Rows, visit: Visit, augmenting: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Only here are rows loaded: a batch that is skipped costs nothing."""
    numbers = torch.from_numpy(visit.rows)
    images = rows.images[numbers]
    return images if augmenting is None else augment(images, augmenting), rows.labels[numbers]
