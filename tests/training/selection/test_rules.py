import numpy as np
import pytest

from training.selection.rules import (
    SELECTIONS,
    empty_table,
    every_batch,
    hardest_batches,
    num_selected,
    overlap,
    record,
)

UNUSED = np.random.default_rng(0)


def table_of(losses):
    table = empty_table(len(losses))
    for batch, loss in enumerate(losses):
        table = record(table, batch, loss, 0)
    return table


def test_the_first_round_is_every_batch():
    assert hardest_batches(empty_table(4), 0.25, UNUSED).tolist() == [0, 1, 2, 3]


def test_the_hardest_come_in_data_set_order():
    table = table_of([0.1, 0.9, 0.3, 0.8, 0.7, 0.2])
    assert hardest_batches(table, 0.5, UNUSED).tolist() == [1, 3, 4]


def test_of_equal_losses_the_earlier_batch_goes_first():
    assert hardest_batches(table_of([0.5, 0.7, 0.5, 0.5]), 0.5, UNUSED).tolist() == [0, 1]


def test_several_rounds_with_stale_losses():
    """N = 5, delta = 0.5, so two batches a round. Worked out by hand."""
    table = table_of([5.0, 4.0, 3.0, 2.0, 1.0])
    rounds = [({0: 3.5, 1: 2.5}, [0, 1]), ({0: 0.5, 2: 2.2}, [0, 2]), ({1: 2.1, 2: 0.1}, [1, 2])]
    for number, (new_losses, expected) in enumerate(rounds, start=1):
        chosen = hardest_batches(table, 0.5, UNUSED)
        assert chosen.tolist() == expected
        for batch in chosen:
            table = record(table, batch, new_losses[batch], number)
    assert table.losses.tolist() == [0.5, 2.1, 0.1, 2.0, 1.0]
    assert table.visited_in.tolist() == [2, 3, 3, 0, 0]
    assert hardest_batches(table, 0.5, UNUSED).tolist() == [1, 3]


def test_recording_leaves_the_old_table_alone():
    table = table_of([1.0, 2.0])
    record(table, 0, 9.0, 1)
    assert table.losses.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("num_batches", "delta", "expected"), [(5, 0.5, 2), (10, 0.2, 2), (10, 1.0, 10), (3, 0.1, 1), (1, 0.5, 1)]
)
def test_the_share_is_rounded_down_but_never_to_none(num_batches, delta, expected):
    assert num_selected(num_batches, delta) == expected


def test_none_takes_every_batch_whatever_the_losses():
    assert every_batch(table_of([3.0, 1.0, 2.0]), 0.5, UNUSED).tolist() == [0, 1, 2]


def test_only_none_reshuffles():
    assert {name: selection.reshuffles for name, selection in SELECTIONS.items()} == {
        "none": True,
        "hard-batch": False,
    }


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([0, 1], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([0, 1, 2], [1, 2, 3], 0.5)],
)
def test_overlap(first, second, expected):
    assert overlap(np.array(first), np.array(second)) == expected
