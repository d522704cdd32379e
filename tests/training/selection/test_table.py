import numpy as np

from training.selection.table import empty_table


def test_an_empty_table_knows_nothing():
    table = empty_table(3)
    assert np.isnan(table.losses).all()
    assert table.visited_in.tolist() == [-1, -1, -1]
    assert table.visits.tolist() == [0, 0, 0]
    assert table.of_rows().is_fresh
    assert len(table.of_rows()) == 3


def test_visits_are_recorded_in_place():
    table = empty_table(4)
    table.record(np.array([3, 1]), np.array([0.5, 2.0]), 0)
    table.record(np.array([3]), np.array([0.25]), 7)
    assert table.losses[[1, 3]].tolist() == [2.0, 0.25]
    assert np.isnan(table.losses[[0, 2]]).all()
    assert table.visited_in.tolist() == [-1, 0, -1, 7]
    assert table.visits.tolist() == [0, 1, 0, 2]
    assert not table.of_rows().is_fresh


def test_a_row_twice_in_a_batch_is_visited_twice():
    table = empty_table(3)
    table.record(np.array([2, 0, 2]), np.array([1.0, 5.0, 1.0]), 0)
    assert table.visits.tolist() == [1, 0, 2]


def test_a_batch_is_the_mean_of_its_rows_and_as_old_as_the_oldest():
    table = empty_table(6)
    table.record(np.array([0, 1]), np.array([1.0, 2.0]), 0)
    table.record(np.array([2, 3]), np.array([4.0, 8.0]), 1)
    table.record(np.array([1]), np.array([3.0]), 2)
    batches = table.of_batches(np.array([[0, 1], [1, 3], [3, 4]]))
    assert batches.losses[:2].tolist() == [2.0, 5.5]
    # Row 4 was never seen, so nobody knows the batch.
    assert np.isnan(batches.losses[2])
    assert batches.visited_in.tolist() == [0, 1, -1]
    assert not batches.is_fresh
