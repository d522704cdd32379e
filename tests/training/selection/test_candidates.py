import numpy as np
import pytest

from training.selection.candidates import backpropagated, exponent, pool_size, top


@pytest.mark.parametrize(
    ("batch_size", "delta", "expected"), [(64, 0.5, 128), (64, 0.3, 213), (10, 1.0, 10), (3, 0.99, 3)]
)
def test_the_pool_is_as_large_as_its_share_is_a_batch(batch_size, delta, expected):
    assert pool_size(batch_size, delta) == expected


@pytest.mark.parametrize(
    ("losses", "num_rows", "expected"),
    [
        ([0.1, 0.9, 0.3, 0.8], 2, [1, 3]),
        ([0.8, 0.9, 0.3, 0.1], 2, [0, 1]),
        ([0.5, 0.7, 0.5, 0.5], 3, [0, 1, 2]),
        ([2.0, 1.0], 2, [0, 1]),
    ],
)
def test_top_is_in_the_order_of_the_candidates_and_of_equals_the_earlier(losses, num_rows, expected):
    assert top(np.array(losses), num_rows).tolist() == expected


@pytest.mark.parametrize(("delta", "expected"), [(1.0, 0.0), (0.5, 1.0), (0.25, 3.0), (0.2, 4.0)])
def test_the_exponent_by_hand(delta, expected):
    assert exponent(delta) == pytest.approx(expected)


@pytest.mark.parametrize("delta", [1.0, 0.8, 0.5, 0.33, 0.1])
def test_a_share_delta_is_kept_of_evenly_spread_percentiles(delta):
    percentiles = (np.arange(100_000) + 0.5) / 100_000
    assert (percentiles ** exponent(delta)).mean() == pytest.approx(delta, abs=1e-4)


def test_the_chance_is_the_percentile_to_the_power_of_beta():
    """History 1, 2, 2, 4, so percentiles 0, 1/4, 3/4, 3/4, 1, 1; delta 1/3, so beta 2 and their squares."""
    losses, history = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 9.0]), np.array([4.0, 2.0, 1.0, 2.0])
    generator, counts = np.random.default_rng(4), np.zeros(6)
    for _ in range(4000):
        counts[backpropagated(losses, history, 1 / 3, generator)] += 1
    assert counts[[0, 4, 5]].tolist() == [0, 4000, 4000]
    # 250 +- 15 and 2250 +- 31
    assert counts[[1, 2, 3]] / 4000 == pytest.approx([1 / 16, 9 / 16, 9 / 16], abs=0.03)


def test_at_delta_1_all_are_kept():
    losses = np.arange(50.0)
    assert backpropagated(losses, losses, 1.0, np.random.default_rng(0)).tolist() == list(range(50))
