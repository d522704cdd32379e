"""Calibration: monotone, honest on fresh rows, and safe on little."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from cascade.calibrator import Calibrator
from cascade.errors import PolicyError
from cascade.fitting.calibration import METHODS, better_method, fit_calibrator
from cascade.metrics import brier


def drawn(rows: int, chance: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, events, and each row's true chance."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1, rows)
    true = (
        expit(2 * score) if chance == "sigmoid" else np.select([score < -0.5, score < 0.5], [0.2, 0.3], 0.9)
    )
    return score, rng.random(rows) < true, true


def test_between_knots_it_is_linear_and_beyond_them_constant() -> None:
    calibrator = Calibrator((0.5, 0.9), (0.2, 1.0))
    assert_allclose(calibrator(np.array([0.0, 0.5, 0.7, 0.9, 2.0])), [0.2, 0.2, 0.6, 1.0, 1.0])


def test_the_score_at_a_confidence() -> None:
    calibrator = Calibrator((0.5, 0.9), (0.2, 0.8))
    assert calibrator.score_at(0.5) == pytest.approx(0.7)
    assert calibrator.score_at(0.8) == pytest.approx(0.9)
    assert calibrator.score_at(0.2) == calibrator.score_at(-1.0) == -math.inf
    assert calibrator.score_at(0.81) == math.inf


@pytest.mark.parametrize(
    ("scores", "confidences", "message"),
    [
        ((), (), "0 scores and 0 confidences"),
        ((0.1,), (0.1, 0.2), "1 scores and 2 confidences"),
        ((0.2, 0.1), (0.1, 0.2), "scores must be finite and never decrease"),
        ((0.1, 0.2), (0.2, 0.1), "confidences must be finite and never decrease"),
        ((0.1, math.inf), (0.1, 0.2), "scores must be finite"),
        ((0.1, 0.2), (0.1, math.nan), "confidences must be finite"),
        ((0.1, 0.2), (0.1, 1.2), r"confidences must lie in \[0, 1\]"),
    ],
)
def test_a_calibrator_checks_itself(
    scores: tuple[float, ...], confidences: tuple[float, ...], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        Calibrator(scores, confidences)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chance", ["sigmoid", "steps"])
def test_confidence_is_the_chance_of_the_event(method: str, chance: str) -> None:
    score, event, _ = drawn(5000, chance)
    fresh, happened, true = drawn(20_000, chance, seed=1)
    confidence = METHODS[method](score, event, None)(fresh)
    assert confidence.mean() == pytest.approx(happened.mean(), abs=0.02)
    if (method, chance) != ("logistic", "steps"):
        assert np.abs(confidence - true).mean() < 0.05
        assert brier(confidence, happened) < brier(true, happened) + 0.006


@pytest.mark.parametrize("method", METHODS)
def test_rows_keep_their_order(method: str) -> None:
    score, event, _ = drawn(2000, "sigmoid")
    calibrator = METHODS[method](score, event, None)
    confidence = calibrator(np.sort(score))
    assert (np.diff(confidence) >= 0).all()
    assert len(np.unique(confidence)) > 1900
    assert 0 < confidence[0] < 0.1 < 0.9 < confidence[-1] < 1


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_scale_of_scores_does_not_matter(scale: float) -> None:
    score, event, _ = drawn(2000, "sigmoid")
    plain, scaled = fit_calibrator(score, event), fit_calibrator(score * scale, event)
    assert plain is not None
    assert scaled is not None
    assert_allclose(scaled(score * scale), plain(score), atol=1e-9)


def test_the_better_method_is_taken() -> None:
    assert better_method(*drawn(4000, "steps")[:2]) == "isotonic"
    assert better_method(*drawn(150, "sigmoid")[:2]) == "logistic"


@pytest.mark.parametrize("method", METHODS)
def test_weights_count_as_rows_do(method: str) -> None:
    """Rows of weight 3 among others of weight 1: the confidence is that of the weighted mixture."""
    rng = np.random.default_rng(2)
    score = rng.random(6000)
    often = rng.random(6000) < 0.5
    event = rng.random(6000) < np.where(often, 0.8, 0.4)
    weight = np.where(often, 3.0, 1.0)
    calibrator = METHODS[method](score, event, weight)
    assert calibrator(score).mean() == pytest.approx((3 * 0.8 + 0.4) / 4, abs=0.02)
    assert METHODS[method](score, event, np.ones(6000)) == METHODS[method](score, event, None)


def test_without_rows_there_is_none() -> None:
    assert fit_calibrator(np.empty(0), np.empty(0, bool)) is None


@pytest.mark.parametrize("rows", [1, 2, 9, 10, 30])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_few_rows_claim_no_certainty(rows: int, share: float) -> None:
    event = np.arange(rows) < share * rows
    calibrator = fit_calibrator(np.linspace(0.0, 1.0, rows), event)
    assert calibrator is not None
    assert 0 < min(calibrator.confidences) <= max(calibrator.confidences) < 1


def test_calibrators_bear_equal_scores() -> None:
    rng = np.random.default_rng(0)
    for value in rng.random(100):
        calibrator = fit_calibrator(np.full(500, value), rng.random(500) < 0.7)
        assert calibrator is not None
        assert calibrator(np.array([value]))[0] == pytest.approx(0.7, abs=0.08)


def test_calibrators_bear_a_plateau_at_the_top() -> None:
    rng = np.random.default_rng(0)
    score = np.minimum(rng.random(4000) * 1.5, 1.0)
    event = rng.random(4000) < np.where(score == 1.0, 0.95, 0.4 + 0.4 * score)
    calibrator = fit_calibrator(score, event)
    assert calibrator is not None
    assert calibrator(np.ones(1))[0] == pytest.approx(0.95, abs=0.03)
    assert calibrator(np.array([0.5]))[0] == pytest.approx(0.6, abs=0.08)


@pytest.mark.parametrize(
    ("method", "rows"),
    [("isotonic", 200), ("isotonic", 2000), ("logistic", 20), ("logistic", 200), ("logistic", 2000)],
)
def test_perfectly_separated_events_are_borne(method: str, rows: int) -> None:
    score = np.linspace(-1, 1, rows)
    confidence = METHODS[method](score, score > 0, None)(score)
    assert (np.diff(confidence) >= 0).all()
    assert confidence[0] < 0.2 < 0.8 < confidence[-1]


@pytest.mark.parametrize("method", METHODS)
def test_a_score_that_misleads_is_worth_nothing(method: str) -> None:
    """Calibration never turns the order round: at worst all rows get nearly the same confidence."""
    score, event, _ = drawn(4000, "sigmoid")
    confidence = METHODS[method](-score, event, None)(np.array([-1.0, 0.0, 1.0]))
    assert_allclose(confidence, event.mean(), atol=0.02)
