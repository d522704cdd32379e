import numpy as np
import pytest

from training.selection.rules import (
    at_random,
    everything,
    hardest,
    informative,
    least_recent,
    num_selected,
    overlap,
    unbiased_weights,
)
from training.selection.table import NEVER, LossTable

UNUSED = np.random.default_rng(0)
NAN = np.nan


def table_of(losses, visited_in=None):
    losses = np.array(losses, dtype=np.float64)
    rounds = np.where(np.isnan(losses), NEVER, 0) if visited_in is None else np.array(visited_in)
    return LossTable(losses=losses, visited_in=rounds)


def fresh(num_units):
    return table_of([NAN] * num_units)


@pytest.mark.parametrize(
    ("num_units", "delta", "expected"),
    [
        (5, 0.5, 2),
        (10, 0.2, 2),
        (10, 1.0, 10),
        (10, 0.7, 7),
        # The paper's code cuts what floating point makes of the product: 28.999..., 56.999...
        (100, 0.29, 28),
        (100, 0.57, 56),
        (3, 0.1, 1),
        (1, 0.5, 1),
    ],
)
def test_the_share_is_rounded_down_but_never_to_none(num_units, delta, expected):
    assert num_selected(num_units, delta) == expected


def test_everything_is_every_unit_whatever_the_losses():
    assert everything(table_of([3.0, NAN, 2.0]), 0.5, UNUSED).tolist() == [0, 1, 2]


def test_the_first_round_of_the_hardest_is_everything():
    assert hardest(fresh(4), 0.25, UNUSED).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("losses", "delta", "expected"),
    [
        ([0.1, 0.9, 0.3, 0.8, 0.7, 0.2], 0.5, [1, 3, 4]),
        ([0.1, 0.9, 0.3, 0.8, 0.7, 0.2], 0.4, [1, 3]),
        ([0.1, 0.9, 0.3], 1.0, [0, 1, 2]),
        # Of the three at 0.5 the earliest.
        ([0.5, 0.7, 0.5, 0.5], 0.5, [0, 1]),
        ([0.2, 0.5, 0.5, 0.5, 0.9], 0.6, [1, 2, 4]),
        # Never visited: harder than any loss, and among themselves equal.
        ([9.0, NAN, 8.0, NAN, NAN], 0.5, [1, 3]),
        ([9.0, NAN, 8.0, 7.0], 0.5, [0, 1]),
    ],
)
def test_the_hardest_come_in_data_set_order(losses, delta, expected):
    assert hardest(table_of(losses), delta, UNUSED).tolist() == expected


def test_the_paper_by_hand_batch_by_batch():
    """N = 7 batches, delta = 0.5: int(3.5) = 3 a round after the first; * marks a stale loss.

    round  losses known before it, by batch                  by loss                     trained
      0    none                                                                          0 1 2 3 4 5 6
      1    2.0   3.0   1.0   2.5   3.0   0.5   1.75          1, 4 (3.0 both), 3          1 3 4
      2    2.0*  2.25  1.0*  2.0   2.75  0.5*  1.75*         4, 1, 0 before 3 (2.0)      0 1 4
      3    1.5   1.25  1.0*  2.0*  1.0   0.5*  1.75*         3, 6, 0                     0 3 6
      4    0.75  1.25* 1.0*  1.5   1.0*  0.5*  0.25          3, 1, 2 before 4 (1.0)      1 2 3
      5    0.75* 0.25  0.25  0.25  1.0*  0.5*  0.25*         4, 0, 5                     0 4 5
    """
    recorded = [
        {0: 2.0, 1: 3.0, 2: 1.0, 3: 2.5, 4: 3.0, 5: 0.5, 6: 1.75},
        {1: 2.25, 3: 2.0, 4: 2.75},
        {0: 1.5, 1: 1.25, 4: 1.0},
        {0: 0.75, 3: 1.5, 6: 0.25},
        {1: 0.25, 2: 0.25, 3: 0.25},
    ]
    table, chosen = fresh(7), []
    for number, losses in enumerate(recorded):
        chosen.append(hardest(table, 0.5, UNUSED).tolist())
        for batch in chosen[-1]:
            table.losses[batch], table.visited_in[batch] = losses[batch], number
    chosen.append(hardest(table, 0.5, UNUSED).tolist())
    assert chosen == [[0, 1, 2, 3, 4, 5, 6], [1, 3, 4], [0, 1, 4], [0, 3, 6], [1, 2, 3], [0, 4, 5]]
    assert table.visited_in.tolist() == [3, 4, 4, 4, 2, 0, 3]


def test_a_random_share_is_distinct_and_in_order_and_favours_none():
    generator, counts = np.random.default_rng(1), np.zeros(10)
    for _ in range(3000):
        chosen = at_random(table_of([5.0] * 5 + [0.0] * 5), 0.35, generator)
        assert len(chosen) == 3
        assert (np.diff(chosen) > 0).all()
        counts[chosen] += 1
    # Each in 3 of 10: 900 +- 25 (one standard deviation).
    assert np.abs(counts - 900).max() < 100


def test_the_least_recent_is_a_round_robin():
    """N = 5, delta = 0.5: two a round, always those whose last visit lies furthest back."""
    table, chosen = fresh(5), []
    for number in range(6):
        units = least_recent(table, 0.5, UNUSED)
        table.visited_in[units] = number
        chosen.append(units.tolist())
    assert chosen == [[0, 1], [2, 3], [0, 4], [1, 2], [0, 3], [1, 4]]


def test_the_least_recent_are_blind_to_losses():
    table = table_of([9.0, 1.0, 5.0, 0.5], [3, 1, 2, 1])
    assert least_recent(table, 0.5, UNUSED).tolist() == [1, 3]


def test_informative_keeps_what_is_hard_or_unseen_and_a_share_of_the_rest():
    """The mean of the known losses is 4: below it lie 1, 2, 3 (units 0, 3, 4); 4 itself is not below."""
    table = table_of([1.0, 10.0, NAN, 2.0, 3.0, 4.0])
    generator, counts = np.random.default_rng(2), np.zeros(6)
    for _ in range(2000):
        counts[informative(table, 0.3, generator)] += 1
    assert counts[[1, 2, 5]].tolist() == [2000, 2000, 2000]
    # 600 +- 20
    assert np.abs(counts[[0, 3, 4]] - 600).max() < 80
    assert unbiased_weights(table, 0.25).tolist() == [4.0, 1.0, 1.0, 4.0, 4.0, 1.0]


def test_informative_knows_nothing_at_first():
    assert informative(fresh(3), 0.01, np.random.default_rng(0)).tolist() == [0, 1, 2]
    assert unbiased_weights(fresh(3), 0.01).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("delta", [0.3, 0.5, 0.9])
def test_weights_make_a_sum_over_the_kept_unbiased(delta):
    generator = np.random.default_rng(3)
    values = generator.normal(1.0, 1.0, 40)
    table = table_of(generator.gamma(1.0, 1.0, 40))
    weights = unbiased_weights(table, delta)
    sums = []
    for _ in range(4000):
        kept = informative(table, delta, generator)
        sums.append((values * weights)[kept].sum())
    error = np.std(sums) / len(sums) ** 0.5
    assert np.mean(sums) == pytest.approx(values.sum(), abs=4 * error)
    # Without weights it would be seen to be biased.
    assert error < (values * (1 - 1 / weights)).sum() / 20


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([0, 1], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([0, 1, 2], [1, 2, 3], 0.5), ([4], [1, 4, 7, 9], 0.25)],
)
def test_overlap(first, second, expected):
    assert overlap(np.isin(np.arange(10), first), np.isin(np.arange(10), second)) == expected
