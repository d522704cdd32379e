"""What the training loop costs over a bare PyTorch loop: `python -m benchmarks.training_overhead`.

The same model, data and batch size, in short blocks that take turns, so that what else the machine does falls
on both. CPU-seconds of the process are compared: waiting for a core is not the loop's doing. Selections are
timed alone, on a table of 40,000 rows, and set against the bare loop's update.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from training.budget import Budget, Spent
from training.config import OptimizerConfig, TrainingConfig
from training.evaluation import Rows
from training.interrupt import StopWish
from training.logs import Logs
from training.loop import State, Watch, make_update
from training.models import ModelSpec, build_model
from training.plan import Plan
from training.progress import Progress
from training.records import Tally
from training.seeds import Seeds
from training.selection.config import SelectionConfig
from training.session import make_plan
from training.step import Stepper
from training.team import ALONE, Signals

RESULT = Path(__file__).parent / "results" / "training_overhead.json"
SEEDS = Seeds(seed=0, member=0)
SELECTIONS = (
    "none",
    "hard-batch",
    "random-batch",
    "least-recent",
    "infobatch",
    "top-k",
    "selective-backprop",
)
LINEAR = "one linear layer"
BATCH_SIZE = 64
BLOCK = 10
ROWS = 40_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="resnet8x0.5,resnet8", help="default %(default)s")
    parser.add_argument("--blocks", type=int, default=30, help="of each loop (default %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    loops = [compare_loops(name, options.blocks) for name in [LINEAR, *options.models.split(",")]]
    step_us = min(float(loop["bare_us"]) for loop in loops[1:])
    selections = [time_selection(name, step_us) for name in SELECTIONS]
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "batch_size": BATCH_SIZE,
        "loops": loops,
        "selections": selections,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print_tables(result)


def compare_loops(name: str, num_blocks: int) -> dict[str, float | str]:
    """CPU-microseconds an update, and the ratio of the loops block by block."""
    rows = make_rows(4096)
    bare = bare_loop(make_model(name), rows)
    with tempfile.TemporaryDirectory() as folder:
        ours = our_loop(make_model(name), rows, Path(folder))
        for loop in (bare, ours):
            timed(loop)
        pairs = [(timed(bare), timed(ours)) for _ in range(num_blocks)]
    ratios = sorted(ours / bare for bare, ours in pairs)
    return {
        "model": name,
        "bare_us": median(bare for bare, _ in pairs) * 1e6,
        "ours_us": median(ours for _, ours in pairs) * 1e6,
        "extra_us": median(ours - bare for bare, ours in pairs) * 1e6,
        "overhead": median(ratios) - 1,
        "overhead_low": ratios[len(ratios) // 4] - 1,
        "overhead_high": ratios[-len(ratios) // 4] - 1,
    }


def timed(loop: Callable[[], None]) -> float:
    """CPU-seconds of one update, over a block of them."""
    started = time.process_time()
    for _ in range(BLOCK):
        loop()
    return (time.process_time() - started) / BLOCK


def make_rows(num_rows: int) -> Rows:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num_rows, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return Rows(images, torch.randint(0, 10, (num_rows,), generator=generator))


class Linear(nn.Module):
    """So light that what the loop itself costs shows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32 * 32 * 3, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(image.flatten(1).float() / 255)
        return logits


def make_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == LINEAR:
        return Linear()
    spec = ModelSpec(
        name=name, height=32, width=32, channels=3, num_classes=10, mean=(0.5,) * 3, std=(0.25,) * 3
    )
    return build_model(spec)


def bare_loop(model: nn.Module, rows: Rows) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    position = 0

    def update() -> None:
        nonlocal position
        numbers = order[position : position + BATCH_SIZE]
        position = (position + BATCH_SIZE) % (len(rows) - BATCH_SIZE)
        loss = nn.functional.cross_entropy(model(rows.images[numbers]), rows.labels[numbers])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    model.train()
    return update


def our_loop(model: nn.Module, rows: Rows, folder: Path) -> Callable[[], None]:
    """With everything that a training does at an update: selection, logs, progress, the wish to stop."""
    config = TrainingConfig(
        batch_size=BATCH_SIZE,
        budget=Budget(unit="updates", amount=1e6),
        optimizer=OptimizerConfig(lr=0.01),
        selection=SelectionConfig.usual("hard-batch"),
    )
    plan = make_plan(config, len(rows), SEEDS)
    state = State(
        model=model,
        stepper=Stepper(model, config, torch.device("cpu")),
        plan=plan,
        augmenting=SEEDS.augmentation(),
        tally=Tally(visits_before=plan.table.visits.copy()),
    )
    logs = Logs(folder, num_batches=plan.num_batches)
    progress = Progress("benchmark", position=0, budget=config.budget_for(plan.num_batches))
    wish = StopWish()

    def tell(update: object) -> None:
        logs.update(update)  # type: ignore[arg-type]
        progress.update(state.spent)

    watch = Watch(on_update=tell, ask=lambda: Signals(stop=wish.is_made))
    budget = config.budget_for(plan.num_batches)

    def update() -> None:
        make_update(state, rows, budget.progress(state.spent), config, watch, ALONE)

    return update


def time_selection(name: str, step_us: float) -> dict[str, float | str]:
    """CPU-microseconds an update of `next` and `record`, forward passes of candidates not counted."""
    config = replace(TrainingConfig(batch_size=BATCH_SIZE), selection=SelectionConfig.usual(name))
    plan = make_plan(config, ROWS, SEEDS)
    losses = np.random.default_rng(0).exponential(size=ROWS)
    num_updates = 4 * plan.num_batches
    started = time.process_time()
    run_plan(plan, losses, num_updates)
    spent_us = (time.process_time() - started) / num_updates * 1e6
    return {"selection": name, "us": spent_us, "share_of_step": spent_us / step_us}


def run_plan(plan: Plan, losses: np.ndarray[tuple[int], np.dtype[np.float64]], num_updates: int) -> None:
    spent = Spent()
    for _ in range(num_updates):
        visit = plan.next(spent.updates / num_updates, lambda rows: losses[rows])
        plan.record(visit, losses[visit.rows])
        spent.updates += 1


def print_tables(result: dict[str, object]) -> None:
    for kind in ("loops", "selections"):
        rows = result[kind]
        assert isinstance(rows, list)
        for row in rows:
            print(", ".join(f"{k} {v if isinstance(v, str) else f'{v:.4g}'}" for k, v in row.items()))


if __name__ == "__main__":
    main()
