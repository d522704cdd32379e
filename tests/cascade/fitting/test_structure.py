"""Temperatures and weights, against what the outputs were made with."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.fitting.structure import mixture_weights, structured
from cascade.policy import Policy
from cascade.scores import softmax
from cascade.scores_file import ScoresFile
from tests.cascade.made_up import STAGES, outputs

PLAIN = Policy(kind="full", num_stages=3)


def overconfident(factors: tuple[float, ...], rows: int = 8000) -> ScoresFile:
    """Labels drawn from the softmax of logits, which members give multiplied by a factor each."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (rows, 5))
    chance = softmax(logits)
    labels = (chance.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(0, 4)
    return ScoresFile(
        outputs=np.stack([logits * factor for factor in factors]).astype(np.float32),
        kind="logits",
        labels=labels,
        names=("a", "b", "c")[: len(factors)],
        macs=(1.0,) * len(factors),
    )


def test_a_known_temperature_is_found() -> None:
    policy = structured(PLAIN, "temperatures", STAGES, overconfident((1.0, 2.5, 0.4)), np.arange(8000))
    assert_allclose(policy.temperatures, (1.0, 2.5, 0.4), rtol=0.05)
    assert policy.weights == ()


def test_temperatures_are_fitted_on_the_given_rows_alone() -> None:
    scores = overconfident((1.0,))
    rows = np.arange(4000)
    spoilt = scores.outputs.copy()
    spoilt[:, 4000:] *= 50
    one = structured(Policy(kind="full", num_stages=1), "temperatures", (("a",),), scores, rows)
    other = structured(
        Policy(kind="full", num_stages=1), "temperatures", (("a",),), replace(scores, outputs=spoilt), rows
    )
    assert one == other


def test_plain_stays_plain() -> None:
    assert structured(PLAIN, "plain", STAGES, outputs(50), np.arange(50)) is PLAIN


def test_weights_prefer_the_stronger_member() -> None:
    scores = outputs(4000, noise=(1.0, 3.0, 0.5))
    weights = structured(PLAIN, "weights", STAGES, scores, np.arange(4000)).weights
    assert [len(stage) for stage in weights] == [1, 2, 3]
    assert [sum(stage) for stage in weights] == pytest.approx([1, 1, 1], abs=2e-3)
    assert weights[1][0] > 0.85
    assert weights[2][2] > weights[2][0] > weights[2][1]


def test_weights_stand_in_the_order_of_the_stages() -> None:
    scores = outputs(4000, noise=(1.0, 3.0, 0.5))
    stages = (("c",), ("b", "a"))
    policy = structured(Policy(kind="full", num_stages=2), "weights", stages, scores, np.arange(4000))
    assert [len(stage) for stage in policy.weights] == [1, 3]
    straight = structured(PLAIN, "weights", STAGES, scores, np.arange(4000))
    assert policy.weights[1] == pytest.approx(straight.weights[2][::-1], abs=2e-4)
    assert policy.temperatures == straight.temperatures[::-1]


def test_expectation_maximisation_finds_the_best_mixture() -> None:
    rng = np.random.default_rng(1)
    likelihoods = rng.beta([[2.0], [3.0]], [[2.0], [4.0]], (2, 500))
    grid = np.linspace(0.001, 0.999, 999)
    best = grid[np.argmax([np.log(w * likelihoods[0] + (1 - w) * likelihoods[1]).sum() for w in grid])]
    assert mixture_weights(likelihoods)[0] == pytest.approx(best, abs=0.01)
    assert mixture_weights(np.array([[0.9, 0.1], [0.1, 0.9]])) == (0.5, 0.5)
    assert mixture_weights(np.array([[0.9, 0.9], [0.0, 0.0]])) == (1.0, 0.001)
    assert mixture_weights(np.array([[0.3, 0.4]])) == (1.0,)


def test_extreme_logits_leave_temperatures_and_weights_sane() -> None:
    scores = outputs(200)
    huge = replace(scores, outputs=scores.outputs * np.float32(1e30))
    policy = structured(PLAIN, "weights", STAGES, huge, np.arange(200))
    assert all(0.05 <= temperature <= 20 for temperature in policy.temperatures)
    assert all(0.001 <= weight <= 1 for stage in policy.weights for weight in stage)
