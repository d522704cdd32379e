"""Scores against values worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.decision import decide
from cascade.errors import PolicyError
from cascade.policy import Policy
from cascade.scores import SCORES, check_score, score_named, softmax

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


EXTREMES = [1e4, -1e4, 1e30, -1e30, 0.0]


@pytest.mark.parametrize("name", [*SCORES, "class=1"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1.0, 0.05, 20.0])
def test_extreme_logits_give_finite_scores(name: str, dtype: type, temperature: float) -> None:
    """Any two of the extremes in one row, all classes alike, and members that contradict one another."""
    rows = [[a, b, c] for a in EXTREMES for b in EXTREMES for c in EXTREMES]
    logits = [np.array(rows, dtype), np.array(rows[::-1], dtype)]
    policy = Policy(kind="full", num_stages=2, score=name, temperatures=(temperature, 1.0))
    for stage, outputs in enumerate((logits[:1], logits)):
        with np.errstate(all="raise", under="ignore"):
            verdict = decide(policy, stage, outputs, ["logits"] * len(outputs))
        assert np.isfinite(verdict.score).all()
        assert_allclose(verdict.probabilities.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", ["msp", "entropy", "margin", "doctor_alpha", "doctor_beta"])
def test_a_certain_prediction_scores_highest(name: str) -> None:
    function = score_named(name).function
    certain = function(softmax(np.array([[1e30, 0.0, -1e30]])))
    assert certain == BY_HAND[name][1][1]
    assert (function(softmax(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))) < certain).all()


def test_a_class_is_a_score_too() -> None:
    assert score_named("class=1").function(P).tolist() == [0.25, 0.0]
    assert score_named("class=1").read_from == "probabilities"


@pytest.mark.parametrize("name", ["class=", "class=-1", "class=x", "class=1.0", "class=\u0663"])
def test_what_is_no_class_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match="is no class number"):
        score_named(name)


def test_a_score_must_be_readable_from_the_outputs() -> None:
    check_score("class=4", "probabilities", 5)
    check_score("energy", "logits", 5)
    with pytest.raises(PolicyError, match="'class=5': the classes are 0 to 4"):
        check_score("class=5", "logits", 5)
    with pytest.raises(PolicyError, match="'max_logit' needs logits, and there are probabilities alone"):
        check_score("max_logit", "probabilities", 5)
