"""Scores against values worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.errors import PolicyError
from cascade.scores import SCORES, score_named, softmax

P = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
Z = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]])

BY_HAND = {
    "msp": (P, [0.5, 1.0]),
    "entropy": (P, [-1.5 * np.log(2), 0.0]),
    "margin": (P, [0.25, 1.0]),
    "doctor_alpha": (P, [-(1 - 0.375) / 0.375, 0.0]),
    "doctor_beta": (P, [-1.0, 0.0]),
    "max_logit": (Z, [4.0, 0.0]),
    "energy": (Z, [np.log(np.e + np.e**2 + np.e**4), np.log(3)]),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_by_hand(name: str) -> None:
    values, expected = BY_HAND[name]
    assert_allclose(score_named(name).function(values), expected, rtol=1e-12)


def test_softmax_is_exact_for_extreme_logits() -> None:
    logits = np.array([[1e30, 0.0], [-1e30, 0.0], [1000.0, 999.0]], np.float32)
    assert_allclose(softmax(logits), [[1, 0], [0, 1], [1 / (1 + np.exp(-1)), 1 / (1 + np.e)]], rtol=1e-12)
    assert_allclose(score_named("energy").function(np.array([[1000.0, 1000.0]])), [1000 + np.log(2)])


def test_softmax_leaves_its_argument_alone() -> None:
    logits = np.array([[1.0, 2.0]])
    softmax(logits)
    assert logits.tolist() == [[1.0, 2.0]]


def test_an_unknown_score_names_the_known_ones() -> None:
    with pytest.raises(PolicyError, match=r"unknown score 'surprise'; there are: msp, .*energy"):
        score_named("surprise")
