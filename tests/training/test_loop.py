import itertools

import numpy as np
import pytest
import torch

from training import loop
from training.config import OptimizerConfig, ScheduleConfig, SelectionConfig, TrainingConfig
from training.errors import DivergedError
from training.loop import Rows, evaluate, make_optimizer, train
from training.selection.rules import empty_table, hardest_batches, record


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, images):
        return self.layer(images.flatten(1).float() / 255)


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 2, 2, 1), dtype=torch.uint8, generator=generator)
    return Rows(images=images, labels=images.flatten(1)[:, :3].argmax(dim=1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Linear()


def make_config(selection="hard-batch", delta=0.5, **settings):
    return TrainingConfig(
        **{"epochs": 6, "batch_size": 4, "seed": 5}
        | settings
        | {"selection": SelectionConfig(name=selection, delta=delta)}
    )


def test_hard_batch_visits_what_the_pure_function_says(model, rows, monkeypatch):
    losses, visits = [], []
    train_batch = loop.train_batch
    monkeypatch.setattr(loop, "train_batch", lambda *given: losses.append(train_batch(*given)) or losses[-1])
    train(model, rows, rows, make_config(), on_update=visits.append)

    assert len(visits) == len(losses) == 6 * 12
    table, expected = empty_table(12), []
    for round_number in itertools.count():
        chosen = hardest_batches(table, 0.5, np.random.default_rng(0))
        for batch in chosen:
            if len(expected) == len(losses):
                break
            table = record(table, int(batch), losses[len(expected)], round_number)
            expected.append(int(batch))
        if len(expected) == len(losses):
            break
    assert [visit.batch for visit in visits] == expected
    order = np.random.default_rng(5).permutation(50)
    for visit in visits:
        assert np.array_equal(visit.rows, order[visit.batch * 4 : visit.batch * 4 + 4])


def test_the_stored_loss_is_that_before_the_update(model, rows):
    images, labels = rows.images[:4], rows.labels[:4]
    with torch.no_grad():
        before = float(torch.nn.functional.cross_entropy(model(images), labels))
    optimizer = make_optimizer(model.parameters(), OptimizerConfig(lr=1.0))
    assert loop.train_batch(model, optimizer, 1.0, images, labels) == pytest.approx(before)


def test_an_update_steps_at_the_rate_given(model, rows):
    before = model.layer.weight.detach().clone()
    optimizer = make_optimizer(model.parameters(), OptimizerConfig(lr=1.0, momentum=0.0))
    loop.train_batch(model, optimizer, 0.25, rows.images[:4], rows.labels[:4])
    assert torch.allclose(before - model.layer.weight, 0.25 * model.layer.weight.grad, atol=1e-6)


def test_an_epoch_is_n_updates_whatever_the_selection(model, rows):
    outcome = train(model, rows, rows, make_config(delta=0.25))
    assert [record.updates for record in outcome.records] == [12, 24, 36, 48, 60, 72]
    assert [record.samples_backward for record in outcome.records] == [48, 96, 144, 192, 240, 288]
    assert outcome.records[0].batches_visited == 12
    assert outcome.records[0].selection_overlap is None
    assert outcome.records[1].batches_visited < 12


class Watched:
    """Images that note which rows are taken of them."""

    def __init__(self, images):
        self.images, self.taken = images, []

    def __getitem__(self, rows):
        self.taken.append(rows.tolist())
        return self.images[rows]


@pytest.mark.parametrize("augmentation", ["none", "standard"])
def test_skipped_batches_are_never_loaded(model, rows, augmentation):
    watched, visits = Watched(rows.images), []
    config = make_config(delta=0.25, augmentation=augmentation)
    train(model, Rows(images=watched, labels=rows.labels), rows, config, on_update=visits.append)
    assert watched.taken == [visit.rows.tolist() for visit in visits]
    first, *later = (watched.taken[start : start + 12] for start in range(0, 72, 12))
    assert len(set(itertools.chain(*first))) == 48
    assert all(len(set(itertools.chain(*epoch))) < 48 for epoch in later)


def test_none_visits_every_batch_every_epoch(model, rows):
    outcome = train(model, rows, rows, make_config("none", 1.0))
    assert [record.batches_visited for record in outcome.records] == [12] * 6


def test_the_rate_follows_the_schedule(model, rows):
    outcome = train(model, rows, rows, make_config(optimizer=OptimizerConfig(lr=0.2)))
    expected = [0.1 * (1 + np.cos(np.pi * (12 * epoch - 1) / 72)) for epoch in range(1, 7)]
    assert [record.learning_rate for record in outcome.records] == pytest.approx(expected)


def test_the_weights_kept_are_those_that_validated_best(model, rows, monkeypatch):
    results = iter([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.8), (0.6, 0.1), (0.2, 2.0)])
    seen = []

    def scripted(model, rows):
        seen.append(model.layer.weight.detach().clone())
        return next(results)

    monkeypatch.setattr(loop, "evaluate", scripted)
    outcome = train(model, rows, rows, make_config())
    assert (outcome.best.epoch, outcome.best.validation_nll) == (3, 0.8)
    assert torch.equal(outcome.weights["layer.weight"], seen[2])


def test_evaluation_by_hand_in_eval_mode(rows):
    class Fixed(torch.nn.Module):
        def forward(self, images):
            assert not self.training
            return torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])[: len(images)]

    given = Rows(images=rows.images[:3], labels=torch.tensor([0, 1, 1]))
    accuracy, nll = evaluate(Fixed(), given)
    assert accuracy == pytest.approx(2 / 3)
    expected = [np.log1p(np.exp(-2)), np.log1p(np.exp(-1)), np.log1p(np.exp(3))]
    assert nll == pytest.approx(np.mean(expected), rel=1e-6)


def test_training_learns_and_repeats_itself(rows):
    outcomes = []
    for _ in range(2):
        torch.manual_seed(0)
        config = make_config(epochs=30, optimizer=OptimizerConfig(name="adamw", lr=0.05))
        outcomes.append(train(Linear(), rows, rows, config))
    first, second = outcomes
    assert first.best.validation_accuracy > 0.9
    assert torch.equal(first.weights["layer.weight"], second.weights["layer.weight"])


def test_a_loss_that_is_not_finite_ends_the_training(model, rows):
    config = make_config(optimizer=OptimizerConfig(lr=1e38), schedule=ScheduleConfig(name="constant"))
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) at update \d+, with lr 1e\+38"):
        train(model, rows, rows, config)


@pytest.mark.parametrize("nll", [np.nan, np.inf])
def test_a_validation_loss_that_is_not_finite_ends_the_training(model, rows, monkeypatch, nll):
    monkeypatch.setattr(loop, "evaluate", lambda model, rows: (0.9, nll))
    with pytest.raises(DivergedError, match=rf"the validation loss is {nll} after epoch 1, with lr 0\.01"):
        train(model, rows, rows, make_config())


def test_augmentation_changes_what_is_trained_on(model, rows, monkeypatch):
    seen = []
    train_batch = loop.train_batch
    monkeypatch.setattr(loop, "train_batch", lambda *given: seen.append(given[3]) or train_batch(*given))
    visits = []
    for augmentation in ("none", "standard"):
        config = make_config(epochs=1, augmentation=augmentation)
        train(model, rows, rows, config, on_update=visits.append)
    plain, augmented = seen[:12], seen[12:]
    taken = [rows.images[visit.rows] for visit in visits]
    assert all(map(torch.equal, plain, taken[:12]))
    assert not any(map(torch.equal, augmented, taken[12:]))


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_takes_its_settings(model, name, kind):
    optimizer = make_optimizer(model.parameters(), OptimizerConfig(name=name, lr=0.3, weight_decay=0.2))
    assert isinstance(optimizer, kind)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.3, 0.2)
    assert optimizer.defaults.get("momentum", 0.9) == 0.9
