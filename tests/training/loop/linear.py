"""A model that is trained in a moment, and its training."""

from dataclasses import replace

import torch

from training.config import TrainingConfig
from training.loop import State, Watch, train
from training.records import Tally
from training.seeds import Seeds
from training.selection.config import SelectionConfig
from training.session import make_plan
from training.step import Stepper

NUM_ROWS, BATCH_SIZE, N = 50, 4, 12


SEEDS = Seeds(seed=5, member=0)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, images):
        return self.layer(images.flatten(1).float() / 255)


def make_config(selection="hard-batch", **settings):
    options = {"delta": settings.pop("delta")} if "delta" in settings else {}
    options |= settings.pop("options", {})
    return TrainingConfig(
        **{"epochs": 6, "batch_size": BATCH_SIZE, "device": "cpu"} | settings,
        selection=SelectionConfig.usual(selection, **options),
    )


def make_state(config, model=None):
    torch.manual_seed(0)
    model = model or Linear()
    plan = make_plan(config, NUM_ROWS, SEEDS)
    return State(
        model=model,
        stepper=Stepper(model, config, torch.device("cpu")),
        plan=plan,
        augmenting=SEEDS.augmentation(),
        tally=Tally(visits_before=plan.table.visits.copy()),
    )


def run(rows, config, state=None, **watch):
    """The state after the training, and what each update was."""
    state, updates = state or make_state(config), []

    def note(update):
        updates.append(replace(update, spent=replace(update.spent)))

    train(state, rows, rows, config, watch=Watch(on_update=note, **watch))
    return state, updates


def mean_loss(model, rows, numbers):
    with torch.no_grad():
        logits = model(rows.images[numbers])
    return float(torch.nn.functional.cross_entropy(logits, rows.labels[numbers]))
