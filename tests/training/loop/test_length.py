"""How long it trains, at what rate, and what is kept."""

import itertools

import numpy as np
import pytest
import torch

from tests.training.loop.linear import (
    N,
    make_config,
    make_state,
    run,
)
from training import loop
from training.budget import Budget
from training.config import OptimizerConfig, ScheduleConfig
from training.errors import StoppedError
from training.schedule import learning_rate
from training.team import Signals


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
