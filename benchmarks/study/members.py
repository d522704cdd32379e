"""Trains what is not trained yet, by the command that a user types, several processes at a time.

runs/study/SIZE/family/MODEL               a run: the members differ by their seed; one process each
runs/study/SIZE/selection/LABELS/NAME-S    a run of two members trained with the selection NAME and seed S;
                                           LABELS is also `published`, the hard-batch paper's own setting

The order is seed by seed, so that a study broken off has whole seeds. A training that is killed goes on where
it was when the study runs again.
"""

import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.study.sizes import AWARE, NOISY, NONE, PUBLISHED, Size
from training.members import is_finished
from training.runs import member_folder

ROOT = Path(__file__).resolve().parents[2]
NOISY_KEY = "worse_label"
"""Of CIFAR-10N: one person's label for each image, of three the wrong one; 40% are wrong."""
RECIPE = "small-cpu"
PAPERS_RECIPE = "paper-resnet18"
PAIR = 2
FAMILY, SELECTION = "family", "selection"
GROUPS = (FAMILY, SELECTION)
"""Of trainings: the models of the family, and the comparison of selections."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """root holds cifar-10-batches-py/ and cifar-100-python/; human_labels is CIFAR-10N's file of labels."""

    root: Path
    human_labels: Path


@dataclass(frozen=True)
class Training:
    """One member of a run, or all of them one after the other; `arguments` are the command's."""

    run: Path
    member: int | None
    arguments: tuple[str, ...]

    @property
    def partial(self) -> Path:
        return self.run.with_name(f"{self.run.name}.partial")

    @property
    def is_done(self) -> bool:
        is_member_done = self.member is not None and is_finished(member_folder(self.partial, self.member))
        return self.run.exists() or is_member_done

    @property
    def command(self) -> list[str]:
        """A member joins the run that others are in; a whole run is gone on with where it was."""
        if self.member is not None:
            return ["training", *self.arguments, "--member", str(self.member)]
        return ["training", *self.arguments, "--jobs", "1", *(["--resume"] if self.partial.exists() else [])]


def family_run(size: Size, model: str) -> Path:
    return study_folder(size) / FAMILY / model


def selection_run(size: Size, labels: str, selection: str, seed: int) -> Path:
    return study_folder(size) / SELECTION / labels / f"{selection}-{seed}"


def study_folder(size: Size) -> Path:
    return ROOT / "runs" / "study" / size.name


def train(size: Size, data: Data, groups: Collection[str], jobs: int) -> None:
    """SystemExit where a training fails; the others under way are finished first."""
    wanted = [each.command for each in trainings(size, data, groups) if not each.is_done]
    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(command, wanted))
    if any(codes):
        sys.exit("a training failed: see above; the study goes on from here when it runs again")


def trainings(size: Size, data: Data, groups: Collection[str] = GROUPS) -> Iterator[Training]:
    for seed in range(max(size.members, size.selecting.fresh.stop)):
        if FAMILY in groups and seed < size.members:
            yield from (_of_family(size, data, model, seed) for model in size.models)
        if SELECTION in groups:
            yield from (_of_selection(size, data, *arm, seed) for arm in size.selecting.arms(seed))


def _of_family(size: Size, data: Data, model: str, member: int) -> Training:
    run = family_run(size, model)
    own = ["--models", model, "--members", str(size.members), *size.options]
    return Training(run, member, (*_shared(data, run, RECIPE, size.epochs, size.train_rows), *own))


def _of_selection(size: Size, data: Data, labels: str, selection: str, seed: int) -> Training:
    run, setting = selection_run(size, labels, selection, seed), size.selecting
    # A cascade-aware member asks what the one before it would forward, which is trained as usual.
    names = f"{NONE},{AWARE}" if selection == AWARE else selection
    own = ["--members", str(PAIR), "--selection", names, "--seed", str(seed)]
    if labels == PUBLISHED:
        return Training(run, None, (*_shared(data, run, PAPERS_RECIPE, setting.published_epochs, None), *own))
    own += ["--models", setting.model, *size.options]
    if labels == NOISY:
        own += ["--train-labels", str(data.human_labels), "--train-labels-key", NOISY_KEY]
    return Training(run, None, (*_shared(data, run, RECIPE, setting.epochs, setting.train_rows), *own))


def _shared(data: Data, run: Path, recipe: str, epochs: int, train_rows: int | None) -> tuple[str, ...]:
    arguments = ["--dataset", "cifar10", "--data-root", str(data.root), "--recipe", recipe]
    arguments += ["--epochs", str(epochs), "--out", str(run.relative_to(ROOT))]
    return (*arguments, *([] if train_rows is None else ["--max-train-rows", str(train_rows)]))


def command(arguments: Sequence[str]) -> int:
    print(f"$ python -m {' '.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=False).returncode
