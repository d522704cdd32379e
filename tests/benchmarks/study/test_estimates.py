"""Intervals over seeds and images."""

import numpy as np
import pytest
from scipy.stats import t as student

from benchmarks.study.estimates import draws, estimate


def test_seeds_alone_give_students_interval() -> None:
    seen = np.array([0.60, 0.64, 0.65])
    found = estimate(np.repeat(seen[:, None], 6, axis=1))
    half = student.ppf(0.975, 2) * seen.std(ddof=1) / np.sqrt(3)
    assert found.value == pytest.approx(0.63)
    assert (found.low, found.high) == pytest.approx((0.63 - half, 0.63 + half))


def test_images_alone_give_the_normal_interval() -> None:
    rng = np.random.default_rng(0)
    resampled = 0.5 + 0.01 * rng.standard_normal(4000)
    values = np.tile(np.concatenate([[0.5], resampled]), (2, 1))
    found = estimate(values)
    assert found.high - found.value == pytest.approx(1.96 * 0.01, rel=0.05)


def test_both_widen_the_interval_and_many_images_free_it_from_few_seeds() -> None:
    rng = np.random.default_rng(1)
    shared = 0.02 * rng.standard_normal(4000)
    seen = np.array([0.500, 0.502, 0.501])
    values = np.concatenate([seen[:, None], seen[:, None] + shared], axis=1)
    found = estimate(values)
    # The images' variance leads, so the half width is nearly the normal one, not Student's of two seeds.
    assert found.high - found.value == pytest.approx(1.96 * np.hypot(0.02, 0.001 / np.sqrt(3)), rel=0.06)


def test_a_difference_of_two_that_move_together_is_known_exactly() -> None:
    rng = np.random.default_rng(2)
    one = rng.random((3, 50))
    found = estimate((one + 0.25) - one)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_one_seed_leaves_the_images_interval() -> None:
    found = estimate(np.array([[0.4, 0.39, 0.41, 0.40]]))
    assert found.low < found.value < found.high


def test_the_first_draw_is_the_rows_as_they_are_and_all_count_as_many() -> None:
    first, *others = draws(50, {"noise": 7}, 3)
    assert first.counts.tolist() == [1.0] * 50
    assert first.strange["noise"].tolist() == list(range(7))
    for draw in others:
        assert draw.counts.sum() == 50
        assert draw.counts.max() > 1
        assert len(draw.strange["noise"]) == 7
    again = draws(50, {"noise": 7}, 3)
    assert again[1].counts.tolist() == others[0].counts.tolist()
