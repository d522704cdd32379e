"""One training from its folder's state to the end: begun, or gone on with from the last checkpoint."""

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from training.candidate_plan import CandidatePlan
from training.checkpoint import read_checkpoint, remove_checkpoint, what_is_left, write_checkpoint
from training.config import TrainingConfig
from training.data.splits import RowNumbers, Split
from training.earlier import rows_forwarded
from training.errors import CheckpointError, ConfigError
from training.evaluation import Rows, rows_of
from training.interrupt import StopWish, heeding
from training.logs import Logs
from training.loop import State, Update, Watch, train
from training.models import ImageClassifier, ModelSpec, build_model
from training.plan import Plan
from training.progress import Progress
from training.records import EpochRecord, Tally
from training.round_plan import RoundPlan
from training.seeds import Seeds
from training.selection.registry import SELECTIONS
from training.step import Stepper, pick_device
from training.team import ALONE, Signals, Team

LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a process needs to train one model.

    folder: its own, in which checkpoint and logs lie. earlier: folders of the members before it, for a
    selection that asks for them. position: of its bar among others'.
    """

    name: str
    folder: Path
    spec: ModelSpec
    training: TrainingConfig
    seeds: Seeds
    train: Split
    validation: Split
    earlier: tuple[Path, ...] = ()
    checkpoint_s: float = 60.0
    position: int = 0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The model has the last weights; `state.best` are those that validated best."""

    model: ImageClassifier
    state: State
    device: torch.device


def train_or_resume(task: Task, team: Team = ALONE) -> Trained:
    """Trains to the end of the budget. The folder must be `held`.

    Raises StoppedError on Ctrl-C or SIGTERM, DivergedError, and CheckpointError where a checkpoint can't be
    written or gone on from.
    """
    # Members side by side beat operators side by side: threads of several members fight over the cores.
    torch.set_num_threads(task.training.threads)
    device = pick_device(task.training.device, task.position if team.size == 1 else None)
    torch.manual_seed(task.seeds.torch_global)
    model = build_model(task.spec).to(device)
    if task.training.channels_last:
        model = model.to(memory_format=torch.channels_last)
    train_rows, validation_rows = rows_of(task.train, device), rows_of(task.validation, device)
    state = _begin(task, model, train_rows, validation_rows, team)
    lengths = read_checkpoint(task.folder, state, team)
    try:
        with ExitStack() as stack:
            wish = stack.enter_context(heeding())
            watch = _watch(task, state, team, lengths, wish, stack)
            train(state, train_rows, validation_rows, task.training, watch=watch, team=team)
    except OSError as error:
        # A log on a full disk, or one that can't be closed on it after the checkpoint has failed.
        raise CheckpointError(
            f"{task.folder} can't be written to: {error}; {what_is_left(task.folder)}"
        ) from error
    return Trained(model=model, state=state, device=device)


@contextmanager
def held(folder: Path, team: Team = ALONE) -> Iterator[None]:
    """The folder, made where it is missing, for this training alone; ConfigError where another has it."""
    if not team.is_first:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{folder} is being trained by another process") from error
        # What a killed process was writing.
        for left in folder.glob(".*.[0-9]*"):
            left.unlink()
        yield


def clear_working_files(folder: Path) -> None:
    """What is of no use once a training is finished."""
    remove_checkpoint(folder)
    (folder / LOCK).unlink(missing_ok=True)


def make_plan(
    config: TrainingConfig, num_rows: int, seeds: Seeds, eligible: RowNumbers | None = None
) -> Plan:
    selection, generator = config.selection, seeds.plan()
    if not SELECTIONS[selection.name].is_by_round:
        return CandidatePlan(selection, num_rows=num_rows, batch_size=config.batch_size, generator=generator)
    return RoundPlan(
        selection,
        num_rows=num_rows,
        batch_size=config.batch_size,
        generator=generator,
        eligible=eligible,
    )


def _begin(task: Task, model: ImageClassifier, train_rows: Rows, validation_rows: Rows, team: Team) -> State:
    eligible = None
    if task.training.selection.needs_earlier:
        delta = task.training.selection.delta
        own = rows_forwarded(task.earlier, train_rows, validation_rows, delta)
        # One process's rounding may differ from another's, and all must choose the same.
        eligible = team.gather(torch.from_numpy(own))[0].numpy()
    plan = make_plan(task.training, len(train_rows), task.seeds, eligible)
    network = team.join(model)
    if team.size > 1:
        torch.manual_seed(task.seeds.torch_global_of(team.rank))
    return State(
        model=model,
        stepper=Stepper(network, task.training, next(model.parameters()).device),
        plan=plan,
        augmenting=task.seeds.augmentation(),
        tally=Tally(visits_before=plan.table.visits.copy()),
    )


def _watch(
    task: Task, state: State, team: Team, lengths: Mapping[str, int] | None, wish: StopWish, stack: ExitStack
) -> Watch:
    """The first process of a team logs and shows; all ask and save, which they do together."""
    clock = _Clock(task.checkpoint_s)
    if not team.is_first:
        return Watch(
            ask=lambda: Signals(stop=wish.is_made),
            save=lambda state: write_checkpoint(task.folder, state, team, logs={}),
        )
    num_batches = state.plan.num_batches
    budget = task.training.budget_for(num_batches)
    progress = stack.enter_context(Progress(task.name, position=task.position, budget=budget))
    logs = stack.enter_context(
        Logs(task.folder, num_batches=num_batches, start=state.spent.updates, lengths=lengths)
    )

    def on_update(update: Update) -> None:
        logs.update(update)
        progress.update(update.spent)

    def on_epoch(record: EpochRecord) -> None:
        logs.epochs(state.records)
        progress.epoch(record, state.spent)

    def save(state: State) -> None:
        write_checkpoint(task.folder, state, team, logs=logs.sync())
        clock.restart()

    return Watch(
        on_update=on_update,
        on_epoch=on_epoch,
        ask=lambda: Signals(stop=wish.is_made, save=clock.is_due),
        save=save,
    )


class _Clock:
    """Says when the next checkpoint is due."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self.restart()

    def restart(self) -> None:
        self._due = time.monotonic() + self._interval_s

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due
