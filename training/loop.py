"""The training of one member, from a fresh model, or from where it was, to the end of its budget."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training.budget import Spent
from training.config import TrainingConfig
from training.data.augmentation import apply, draw
from training.data.splits import RowNumbers
from training.errors import DivergedError, StoppedError
from training.evaluation import Rows, evaluate
from training.plan import Plan, Visit
from training.records import EpochRecord, Tally
from training.schedule import learning_rate
from training.selection.table import Floats
from training.step import Stepper
from training.team import ALONE, Signals, Team

Weights = dict[str, Tensor]


@dataclass(kw_only=True)
class State:
    """Everything that an update or the end of an epoch changes.

    best: the weights of best validation accuracy so far (of equals the lower NLL).
    """

    model: nn.Module
    stepper: Stepper
    plan: Plan
    augmenting: torch.Generator
    tally: Tally
    spent: Spent = field(default_factory=Spent)
    records: list[EpochRecord] = field(default_factory=list)
    best: Weights = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an update was: the mean loss and accuracy of its rows before it, and the rate of its step."""

    visit: Visit
    loss: float
    accuracy: float
    learning_rate: float
    spent: Spent


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told, and asked. `ask` says after each update whether to save or stop; `save` does so."""

    on_update: Callable[[Update], None] = lambda update: None
    on_epoch: Callable[[EpochRecord], None] = lambda record: None
    ask: Callable[[], Signals] = Signals
    save: Callable[[State], None] = lambda state: None


def train(
    state: State,
    train_rows: Rows,
    validation_rows: Rows,
    config: TrainingConfig,
    *,
    watch: Watch,
    team: Team = ALONE,
) -> None:
    """Goes on from `state` until the budget is spent; it may be part of the way already.

    An epoch is N updates, N being the full batches there are; the last may be shorter. Raises DivergedError
    when a loss is not finite, in training or in validation, and StoppedError when somebody asked for an end,
    after what there is has been saved.
    """
    budget = config.budget_for(state.plan.num_batches)
    while (progress := budget.progress(state.spent)) < 1:
        signals = make_update(state, train_rows, progress, config, watch, team)
        is_over = budget.progress(state.spent) >= 1
        if state.spent.updates % state.plan.num_batches == 0 or is_over:
            close_epoch(state, validation_rows, team)
            watch.on_epoch(state.records[-1])
        if signals.save or signals.stop or is_over:
            watch.save(state)
        if signals.stop and not is_over:
            raise StoppedError(f"stopped after update {state.spent.updates}; --resume goes on from there")


def make_update(
    state: State, rows: Rows, progress: float, config: TrainingConfig, watch: Watch, team: Team
) -> Signals:
    started = time.monotonic()
    visit = state.plan.next(progress, _scorer(state, rows, team))
    rate = learning_rate(
        progress, schedule=config.schedule.name, base=config.optimizer.lr, warmup=config.schedule.warmup
    )
    losses, accuracies = _step(state, rows, visit, rate, config, team)
    asked = watch.ask()
    seconds = time.monotonic() - started
    told = Signals(stop=asked.stop, save=asked.save, seconds=seconds)
    values, signals = team.exchange(torch.stack([losses, accuracies], dim=1).flatten(), told)
    of_rows = values.reshape(-1, 2)
    _note(state, visit, of_rows[:, 0], float(of_rows[:, 1].mean()), rate, signals, watch)
    return signals


def _step(
    state: State, rows: Rows, visit: Visit, rate: float, config: TrainingConfig, team: Team
) -> tuple[Tensor, Tensor]:
    """Loss and correctness (n,) of this process's share of the rows, before the step it makes."""
    share = team.share(len(visit.rows))
    images, labels = take(rows, visit.rows, share, config.augmentation, state.augmenting)
    # The model's own mode: validation changes that, and not the mode of what wraps it.
    if not state.model.training:
        state.model.train()
    logits, losses = state.stepper.losses(images, labels)
    weights = None if visit.weights is None else torch.from_numpy(visit.weights[share]).to(losses)
    state.stepper.update(losses, weights, rate)
    with torch.no_grad():
        is_correct = (logits.argmax(dim=1) == labels).to(losses.dtype)
    return losses.detach(), is_correct


def _note(
    state: State, visit: Visit, losses: Floats, accuracy: float, rate: float, signals: Signals, watch: Watch
) -> None:
    loss = float(losses.mean())
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is {loss} at update {state.spent.updates}, with lr {rate:g}")
    state.plan.record(visit, losses)
    spent = state.spent
    spent.updates += 1
    spent.samples_forward += len(visit.rows) + visit.num_scored
    spent.samples_backward += len(visit.rows)
    spent.seconds += signals.seconds
    state.tally.add(visit, loss, accuracy, rate)
    watch.on_update(Update(visit=visit, loss=loss, accuracy=accuracy, learning_rate=rate, spent=spent))


def close_epoch(state: State, validation_rows: Rows, team: Team) -> None:
    accuracy, nll = evaluate(state.model, validation_rows, team)
    epoch = len(state.records) + 1
    if not math.isfinite(nll):
        raise DivergedError(f"the validation loss is {nll} after epoch {epoch}")
    visits = state.plan.table.visits
    record = state.tally.close(epoch, state.spent, visits, accuracy=accuracy, nll=nll)
    if not state.records or record.rank > max(earlier.rank for earlier in state.records):
        state.best = snapshot(state.model)
    state.records.append(record)
    state.tally = Tally(visits_before=visits.copy())


def take(
    rows: Rows, numbers: RowNumbers, share: slice, augmentation: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The share of a batch that this process runs. Only here are rows loaded: what is skipped costs nothing.

    Every process draws for the whole batch, so that the draws of all stay in step.
    """
    own = torch.from_numpy(numbers[share]).to(rows.images.device)
    images, labels = rows.images[own], rows.labels[own]
    if augmentation == "none":
        return images, labels
    _, height, width, _ = images.shape
    draws = draw(augmentation, len(numbers), height, width, generator)
    return apply(images, draws.of(share).to(images.device)), labels


def snapshot(model: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _scorer(state: State, rows: Rows, team: Team) -> Callable[[RowNumbers], Floats]:
    """Losses in eval mode, so that scoring moves no statistics and draws nothing."""

    def score(numbers: RowNumbers) -> Floats:
        own = torch.from_numpy(numbers[team.share(len(numbers))]).to(rows.images.device)
        state.model.eval()
        with torch.no_grad():
            _, losses = state.stepper.losses(rows.images[own], rows.labels[own])
        return team.exchange(losses, Signals())[0]

    return score
