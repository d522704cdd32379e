"""Metrics against values counted by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cascade.intervals import effective_rows, share_interval
from cascade.metrics import (
    aurc,
    brier,
    calibration_error,
    cost_macs,
    first_covering,
    log_loss,
    midway,
    negative_log_likelihood,
    risk_coverage,
    selective_risk,
)

SCORE = np.array([0.9, 0.8, 0.8, 0.5])
CORRECT = np.array([True, False, True, False])


def test_risk_coverage_keeps_equal_scores_together() -> None:
    curve = risk_coverage(SCORE, CORRECT)
    assert_allclose(curve.coverage, [0.25, 0.75, 1.0])
    assert_allclose(curve.risk, [0.0, 1 / 3, 0.5])
    assert_allclose(curve.thresholds, [0.85, 0.65, -math.inf])


def test_weights_count_as_rows_do() -> None:
    weight = np.array([2.0, 1.0, 0.0, 3.0])
    copied = np.repeat(np.arange(4), weight.astype(int))
    weighted, plain = risk_coverage(SCORE, CORRECT, weight), risk_coverage(SCORE[copied], CORRECT[copied])
    assert_allclose(weighted.coverage, plain.coverage)
    assert_allclose(weighted.risk, plain.risk)
    assert_allclose(weighted.thresholds, plain.thresholds)


def test_outcomes_may_lie_between_right_and_wrong() -> None:
    curve = risk_coverage(np.array([0.9, 0.5]), np.array([0.75, 0.25]))
    assert_allclose(curve.risk, [0.25, 0.5])


def test_rows_without_weight_have_no_risk() -> None:
    curve = risk_coverage(np.array([0.9, 0.5]), np.array([False, False]), np.array([0.0, 1.0]))
    assert (curve.coverage.tolist(), curve.risk.tolist()) == ([0.0, 1.0], [0.0, 1.0])


def test_the_first_point_that_covers_a_share() -> None:
    curve = risk_coverage(SCORE, CORRECT)
    covering = [first_covering(curve, share) for share in (0.0, 0.25, 0.26, 0.75, 0.76, 1.0, 1.5)]
    assert covering == [0, 0, 1, 1, 2, 2, 2]


def test_thresholds_hold_between_adjacent_doubles() -> None:
    """MSPs saturate just below 1, where two scores may have no number between them."""
    score = np.array([1.0, 1.0 - 2.0**-53, 1.0 - 2.0**-52, 0.5])
    curve = risk_coverage(score, np.ones(4, bool))
    for accepted, threshold in enumerate(curve.thresholds, start=1):
        assert (score >= threshold).sum() == accepted


def test_midway_lies_above_the_lower_and_at_most_at_the_upper() -> None:
    one = 1.0
    below = np.nextafter(one, 0.0)
    upper, lower = np.array([one, 0.75, 0.75, math.inf]), np.array([below, 0.25, -math.inf, 0.5])
    assert midway(upper, lower).tolist() == [one, 0.5, -math.inf, math.inf]


def test_aurc_takes_equal_scores_in_random_order() -> None:
    assert_allclose(aurc(SCORE, CORRECT), np.mean([0, 0.5 / 2, 1 / 3, 2 / 4]))


def test_aurc_does_not_change_with_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    score, correct = rng.integers(0, 5, 100) / 5, rng.random(100) < 0.5
    order = rng.permutation(100)
    assert aurc(score, correct) == pytest.approx(aurc(score[order], correct[order]), abs=1e-12)


def test_selective_risk_counts_the_accepted() -> None:
    assert selective_risk(np.array([True, True, False, False]), CORRECT) == 0.5
    assert selective_risk(np.zeros(4, bool), CORRECT) == 0.0


def test_cost_is_the_macs_of_the_stages_a_row_ran() -> None:
    assert cost_macs(np.array([1, 1, 2, 3]), (10.0, 20.0, 40.0)) == (10 + 10 + 30 + 70) / 4


def test_likelihood_and_brier() -> None:
    probabilities = np.array([[0.5, 0.5], [0.0, 1.0]])
    assert_allclose(
        negative_log_likelihood(probabilities, np.array([0, 0])), (math.log(2) + 12 * math.log(10)) / 2
    )
    assert_allclose(brier(np.array([0.8, 0.4]), np.array([True, False])), (0.04 + 0.16) / 2)


def test_calibration_error_of_bins_of_equal_mass() -> None:
    confidence = np.repeat([0.2, 0.6, 0.9], 100)
    hits = np.concatenate([np.arange(100) < share for share in (30, 60, 70)])
    assert calibration_error(confidence, hits, num_bins=3) == pytest.approx((0.1 + 0.0 + 0.2) / 3)
    assert calibration_error(np.array([0.5]), np.array([True])) == 0.5
    assert log_loss(np.array([0.5, 0.25])) == pytest.approx(1.5 * math.log(2))


def test_wilson_interval_of_a_known_case() -> None:
    """Newcombe (1998), table I: 15 of 148 gives 0.0624 to 0.1605."""
    hits = np.arange(148) < 15
    assert_allclose(share_interval(hits), (0.0624, 0.1605), atol=5e-5)


def test_copies_of_one_source_count_once() -> None:
    rng = np.random.default_rng(1)
    sources = rng.random(200) < 0.3
    copied = np.repeat(sources, 8)
    groups = np.repeat(np.arange(200), 8)
    assert_allclose(effective_rows(copied, groups), 199, rtol=1e-3)
    assert_allclose(share_interval(copied, groups), share_interval(sources), atol=2e-4)


def test_independent_rows_keep_their_number() -> None:
    rng = np.random.default_rng(2)
    hits, groups = rng.random(4000) < 0.3, np.repeat(np.arange(500), 8)
    assert effective_rows(hits, groups) > 3000


def test_an_interval_of_nothing_is_no_number() -> None:
    assert all(math.isnan(end) for end in share_interval(np.zeros(0, bool)))


def test_a_certain_share_still_has_an_interval() -> None:
    low, high = share_interval(np.ones(80, bool), np.repeat(np.arange(10), 8))
    assert high == 1.0
    assert_allclose(low, share_interval(np.ones(10, bool))[0])
