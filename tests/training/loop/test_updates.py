"""What each update is made of."""

import itertools

import numpy as np
import pytest
import torch

from tests.training.loop.linear import (
    BATCH_SIZE,
    NUM_ROWS,
    SEEDS,
    Linear,
    N,
    make_config,
    make_state,
    mean_loss,
    run,
)
from training import loop
from training.budget import Spent
from training.config import OptimizerConfig, ScheduleConfig
from training.errors import DivergedError
from training.evaluation import Rows
from training.loop import Watch, train
from training.selection.rules import hardest, unbiased_weights
from training.selection.table import LossTable, empty_table
from training.step import Stepper


def test_hard_batch_visits_what_the_pure_rule_says(rows):
    losses = []
    config = make_config(delta=0.5)
    state = make_state(config)
    record = state.plan.record

    def note(visit, of_rows):
        losses.append(of_rows)
        record(visit, of_rows)

    state.plan.record = note
    _, updates = run(rows, config, state)
    assert len(updates) == len(losses) == 6 * N

    batches = SEEDS.plan().permutation(NUM_ROWS)[: N * BATCH_SIZE].reshape(N, BATCH_SIZE)
    known, visited, expected = np.full(N, np.nan), np.full(N, -1), []
    for number in itertools.count():
        chosen = hardest(LossTable(losses=known.copy(), visited_in=visited.copy()), 0.5, None)
        for batch in chosen[: len(losses) - len(expected)]:
            known[batch] = losses[len(expected)].mean()
            visited[batch] = number
            expected.append(batch)
        if len(expected) == len(losses):
            break
    assert [u.visit.rows.tolist() for u in updates] == [batches[batch].tolist() for batch in expected]
    assert len(set(expected[N : 2 * N])) < N


@pytest.mark.parametrize("selection", ["none", "hard-batch", "infobatch", "top-k", "selective-backprop"])
def test_the_loss_noted_of_a_row_is_that_before_its_update(rows, selection):
    config = make_config(selection, epochs=3)
    state = make_state(config)
    record, expected = state.plan.record, empty_table(NUM_ROWS)
    update = state.stepper.update
    before = []

    def look(losses, weights, rate):
        before.append([mean_loss(state.model, rows, [row]) for row in range(NUM_ROWS)])
        update(losses, weights, rate)

    def note(visit, losses):
        assert losses == pytest.approx([before[-1][row] for row in visit.rows], rel=1e-5)
        expected.record(visit.rows, losses, visit.round_number)
        record(visit, losses)

    state.stepper.update, state.plan.record = look, note
    state, updates = run(rows, config, state)
    for values, losses in zip(updates, before, strict=True):
        assert values.loss == pytest.approx(np.mean([losses[row] for row in values.visit.rows]), rel=1e-5)
    for name in ("losses", "visits", "visited_in"):
        assert np.array_equal(getattr(state.plan.table, name), getattr(expected, name), equal_nan=True)


def test_accuracy_is_that_before_the_update_too(rows):
    config = make_config("none", epochs=1)
    state = make_state(config)
    update, before = state.stepper.update, []

    def look(losses, weights, rate):
        with torch.no_grad():
            before.append((state.model(rows.images).argmax(dim=1) == rows.labels).numpy())
        update(losses, weights, rate)

    state.stepper.update = look
    state, updates = run(rows, config, state)
    expected = [
        is_correct[update.visit.rows].mean() for update, is_correct in zip(updates, before, strict=True)
    ]
    assert [update.accuracy for update in updates] == expected
    assert state.records[0].train_accuracy == pytest.approx(np.mean(expected))
    assert state.records[0].train_loss == pytest.approx(np.mean([update.loss for update in updates]))


def test_an_epoch_is_n_updates_whatever_the_selection(rows):
    state, _ = run(rows, make_config(delta=0.25))
    assert [record.updates for record in state.records] == [12, 24, 36, 48, 60, 72]
    assert [record.samples_backward for record in state.records] == [48, 96, 144, 192, 240, 288]
    assert [record.samples_forward for record in state.records] == [48, 96, 144, 192, 240, 288]
    assert state.records[0].rows_visited == 48
    assert state.records[0].selection_overlap is None
    assert state.records[1].rows_visited < 48


def test_none_visits_every_batch_every_epoch(rows):
    state, updates = run(rows, make_config("none"))
    assert [record.rows_visited for record in state.records] == [48] * 6
    # Dealt anew each time, the two rows left over are others.
    assert state.records[-1].visits_max == 6
    assert sorted(updates[0].visit.rows) != sorted(updates[N].visit.rows)


class Watched:
    """Images that note which rows are taken of them."""

    def __init__(self, images):
        self.images, self.taken, self.device = images, [], images.device

    def __getitem__(self, rows):
        self.taken.append(rows.tolist())
        return self.images[rows]


@pytest.mark.parametrize("augmentation", ["none", "standard"])
def test_skipped_batches_are_never_loaded(rows, augmentation):
    watched = Watched(rows.images)
    config, updates = make_config(delta=0.25, augmentation=augmentation), []
    state = make_state(config)
    train(
        state,
        Rows(images=watched, labels=rows.labels),
        rows,
        config,
        watch=Watch(on_update=lambda update: updates.append(update.visit.rows.tolist())),
    )
    assert watched.taken == updates
    first, *later = (watched.taken[start : start + N] for start in range(0, 6 * N, N))
    assert len(set(itertools.chain(*first))) == 48
    assert all(len(set(itertools.chain(*epoch))) < 48 for epoch in later)


def test_training_learns_and_repeats_itself(rows):
    config = make_config(epochs=30, optimizer=OptimizerConfig(name="adamw", lr=0.05))
    (first, _), (second, _) = run(rows, config), run(rows, config)
    assert max(record.validation_accuracy for record in first.records) > 0.9
    assert torch.equal(first.best["layer.weight"], second.best["layer.weight"])


def test_a_loss_that_is_not_finite_ends_the_training(rows):
    config = make_config(optimizer=OptimizerConfig(lr=1e38), schedule=ScheduleConfig(name="constant"))
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) at update \d+, with lr 1e\+38"):
        run(rows, config)


@pytest.mark.parametrize("nll", [np.nan, np.inf])
def test_a_validation_loss_that_is_not_finite_ends_the_training(rows, monkeypatch, nll):
    monkeypatch.setattr(loop, "evaluate", lambda model, rows, team: (0.9, nll))
    with pytest.raises(DivergedError, match=rf"the validation loss is {nll} after epoch 1$"):
        run(rows, make_config())


@pytest.mark.parametrize("augmentation", ["shift", "standard"])
def test_augmentation_changes_what_is_trained_on_and_not_what_is_chosen_by(rows, augmentation):
    config = make_config("top-k", epochs=1, augmentation=augmentation)
    state, seen = make_state(config), []
    losses = state.stepper.losses

    def look(images, labels):
        seen.append((state.model.training, images))
        return losses(images, labels)

    state.stepper.losses = look
    _, updates = run(rows, config, state)
    trained = [images for is_training, images in seen if is_training]
    scored = [images for is_training, images in seen if not is_training]
    assert len(trained) == len(scored) == len(updates)
    assert not any(
        torch.equal(images, rows.images[update.visit.rows])
        for images, update in zip(trained, updates, strict=True)
    )
    whole = {tuple(image.flatten().tolist()) for image in rows.images}
    assert all(tuple(image.flatten().tolist()) in whole for images in scored for image in images)


def test_infobatch_weighs_easy_rows_up_by_what_was_left_out(rows):
    config = make_config("infobatch", delta=0.25, options={"finish": 0.0}, epochs=4)
    state, given = make_state(config), []
    update, table = state.stepper.update, empty_table(NUM_ROWS)

    def look(losses, weights, rate):
        given.append(weights)
        update(losses, weights, rate)

    record = state.plan.record
    pairs = []

    def note(visit, losses):
        if len(pairs) == 0 or pairs[-1][0] != visit.round_number:
            pairs.append((visit.round_number, unbiased_weights(table.of_rows(), 0.25)))
        assert given[-1].tolist() == pairs[-1][1][visit.rows].tolist()
        record(visit, losses)
        table.record(visit.rows, losses, visit.round_number)

    state.stepper.update, state.plan.record = look, note
    run(rows, config, state)
    assert {float(weight) for weights in given[:N] for weight in weights} == {1.0}
    assert {float(weight) for weights in given[N:] for weight in weights} == {1.0, 4.0}


class Wrapper(torch.nn.Module):
    """As DistributedDataParallel: a mode of its own, which the model's does not follow."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, images):
        return self.module(images)


@pytest.mark.parametrize("selection", ["none", "top-k"])
def test_a_model_is_trained_in_training_mode_when_it_is_wrapped_too(rows, selection):
    class Noting(Linear):
        modes = ()

        def forward(self, images):
            if torch.is_grad_enabled():
                self.modes = (*self.modes, self.training)
            return super().forward(images)

    config = make_config(selection, epochs=2)
    state = make_state(config, Noting())
    state.stepper = Stepper(Wrapper(state.model), config, torch.device("cpu"))
    run(rows, config, state)
    assert state.model.modes == (True,) * 24
    assert state.spent == Spent(
        updates=24,
        samples_backward=96,
        samples_forward=96 if selection == "none" else 96 + 24 * 8,
        seconds=state.spent.seconds,
    )
