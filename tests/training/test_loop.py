import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from training import loop
from training.budget import Budget, Spent
from training.config import OptimizerConfig, ScheduleConfig, TrainingConfig
from training.errors import DivergedError, StoppedError
from training.evaluation import Rows
from training.loop import State, Watch, train
from training.records import Tally
from training.schedule import learning_rate
from training.seeds import Seeds
from training.selection.config import SelectionConfig
from training.selection.rules import hardest, unbiased_weights
from training.selection.table import LossTable, empty_table
from training.session import make_plan
from training.step import Stepper
from training.team import Signals

NUM_ROWS, BATCH_SIZE, N = 50, 4, 12
SEEDS = Seeds(seed=5, member=0)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, images):
        return self.layer(images.flatten(1).float() / 255)


@pytest.fixture(autouse=True)
def one_thread():
    """As members are trained: threads wait for each other longer than so little work takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (NUM_ROWS, 2, 2, 1), dtype=torch.uint8, generator=generator)
    return Rows(images=images, labels=images.flatten(1)[:, :3].argmax(dim=1))


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


@pytest.mark.parametrize(
    ("schedule", "base"), [(ScheduleConfig(), 0.2), (ScheduleConfig(name="constant", warmup=0.25), 0.1)]
)
def test_the_rate_follows_the_schedule(rows, schedule, base):
    config = make_config(optimizer=OptimizerConfig(lr=base), schedule=schedule)
    state, taken = make_state(config), []
    update = state.stepper.update

    def step(losses, weights, rate):
        taken.append(rate)
        update(losses, weights, rate)

    state.stepper.update = step
    _, updates = run(rows, config, state)
    expected = [
        learning_rate(done / 72, schedule=schedule.name, base=base, warmup=schedule.warmup)
        for done in range(72)
    ]
    assert taken == [update.learning_rate for update in updates] == expected
    assert [record.learning_rate for record in state.records] == expected[11::12]


def test_a_budget_in_samples_counts_those_only_looked_at(rows):
    config = make_config("top-k", delta=0.25, budget=Budget(unit="samples", amount=300))
    state, updates = run(rows, config)
    # 16 candidates and 4 trained: 15 updates are 300 samples.
    assert len(updates) == state.spent.updates == 15
    assert (state.spent.samples_forward, state.spent.samples_backward) == (300, 60)
    assert [record.updates for record in state.records] == [12, 15]
    assert updates[3].learning_rate == pytest.approx(0.01 * 0.5 * (1 + np.cos(np.pi * 60 / 300)))


def test_a_budget_in_samples_may_be_overrun_by_an_update(rows):
    state, _ = run(rows, make_config("none", budget=Budget(unit="samples", amount=9)))
    assert (state.spent.updates, state.spent.samples_forward) == (3, 12)


class Clock:
    """A quarter of a second passes at each look: two a second of training, as each update looks twice."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        self.now += 0.25
        return self.now


def test_a_budget_in_seconds_counts_updates_alone(rows, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)

    def save_slowly(state):
        clock.now += 1000

    config = make_config("none", budget=Budget(unit="seconds", amount=5))
    state, updates = run(rows, config, ask=lambda: Signals(save=True), save=save_slowly)
    assert (state.spent.updates, state.spent.seconds) == (20, 5.0)
    assert [record.updates for record in state.records] == [12, 20]
    assert [record.seconds for record in state.records] == [3.0, 5.0]
    assert updates[10].learning_rate == pytest.approx(0.005)


def test_the_weights_kept_are_those_that_validated_best(rows, monkeypatch):
    results = iter([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.8), (0.6, 0.1), (0.2, 2.0)])
    seen = []

    def scripted(model, rows, team):
        seen.append(model.layer.weight.detach().clone())
        return next(results)

    monkeypatch.setattr(loop, "evaluate", scripted)
    state, _ = run(rows, make_config())
    assert torch.equal(state.best["layer.weight"], seen[2])
    assert torch.equal(state.model.layer.weight, seen[5]) and not torch.equal(seen[2], seen[5])
    assert [record.validation_nll for record in state.records] == [1.0, 0.9, 0.8, 0.8, 0.1, 2.0]


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


def test_somebody_may_stop_it_after_any_update_and_it_is_saved_first(rows):
    config, saved = make_config(), []
    count = itertools.count(1)
    with pytest.raises(StoppedError, match="stopped after update 17; --resume goes on from there"):
        run(
            rows,
            config,
            ask=lambda: Signals(stop=next(count) == 17),
            save=lambda state: saved.append((state.spent.updates, len(state.records))),
        )
    assert saved == [(17, 1)]


def test_an_epoch_that_is_over_is_closed_before_it_is_saved(rows):
    saved, count = [], itertools.count(1)
    run(
        rows,
        make_config(epochs=2),
        ask=lambda: Signals(save=next(count) in (5, N)),
        save=lambda state: saved.append((state.spent.updates, len(state.records))),
    )
    assert saved == [(5, 0), (12, 1), (24, 2)]


def test_asked_to_stop_at_the_very_end_it_has_ended(rows):
    state, _ = run(rows, make_config(epochs=1), ask=lambda: Signals(stop=False))
    count = itertools.count(1)
    again, _ = run(rows, make_config(epochs=1), ask=lambda: Signals(stop=next(count) == N))
    assert torch.equal(state.model.layer.weight, again.model.layer.weight)


def test_a_training_that_is_over_does_nothing_more(rows):
    config = make_config(epochs=1)
    state, _ = run(rows, config)
    weight = state.model.layer.weight.detach().clone()
    _, updates = run(rows, config, state)
    assert updates == [] and torch.equal(state.model.layer.weight, weight)


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
