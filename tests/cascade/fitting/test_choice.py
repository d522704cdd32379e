"""A richer fit only where held-out rows show that it helps."""

from dataclasses import replace

import numpy as np
import pytest

from cascade.evaluate import evaluate
from cascade.fitting.choice import (
    FOLDS,
    PAPER,
    STANDARD_ERRORS,
    Candidate,
    Choice,
    HeldOut,
    best_simple,
    fold_of,
    options_for,
    resampled,
)
from cascade.fitting.fit import FitSettings, fit
from cascade.fitting.shape import SHAPES
from cascade.fitting.structure import STRUCTURES
from cascade.objectives.parse import parse_objective
from cascade.scores_file import ScoresFile
from tests.cascade.made_up import STAGES, outputs

PAIR = STAGES[:2]


def worthless_second(rows: int, seed: int = 0) -> ScoresFile:
    return outputs(rows, seed, members=2, noise=(1.0, 100.0))


def test_a_worthless_second_member_costs_nothing() -> None:
    scores, fresh = worthless_second(2000), worthless_second(20_000, seed=9)
    first, window, paper = (
        evaluate(fit(scores, PAIR, settings), PAIR, fresh)
        for settings in (FitSettings(kind="first"), FitSettings(), FitSettings(method="paper"))
    )
    assert paper["objective"]["value"] < first["objective"]["value"] - 0.02
    assert window["objective"]["value"] >= first["objective"]["value"] - 0.005
    assert window["cost"] < paper["cost"]


def test_a_good_second_member_is_worth_a_window() -> None:
    strong = outputs(2000, members=2, noise=(1.0, 0.3))
    evidence = fit(strong, PAIR, FitSettings()).evidence
    assert evidence["shape"] in ("paper", "centred", "joint")
    assert evidence["forwarded"][0] > 0.1


def test_the_report_says_what_was_chosen_among_what() -> None:
    evidence = fit(worthless_second(1000), PAIR, FitSettings()).evidence
    options = options_for(parse_objective("coverage@risk=0.05"))
    gains = evidence["gain_over_paper"]
    assert options[0] == PAPER
    assert list(gains) == [str(option) for option in options[1:]]
    assert evidence["chosen"] == "none windows, plain structure, ranked by score"
    assert evidence["shape"] == "none"
    gain, error = gains[evidence["chosen"]]
    assert gain > error > 0


def test_where_nothing_gains_the_cheapest_stays() -> None:
    """Two members that say the same gain nothing over one."""
    scores = outputs(1000, members=2)
    same = replace(scores, outputs=np.repeat(scores.outputs[:1], 2, axis=0))
    evidence = fit(same, PAIR, FitSettings(objective="accuracy")).evidence
    assert evidence["chosen"] == "none windows, plain structure, ranked by score"
    assert evidence["cost"] == 1.0
    assert {gain for gain, _ in evidence["gain_over_paper"].values()} == {0.0}


def test_without_a_choice_nothing_is_said_of_one() -> None:
    assert Choice(PAPER).report() == {}
    assert "chosen" not in fit(outputs(200), STAGES, FitSettings(kind="threshold")).evidence
    assert "chosen" not in fit(outputs(200), STAGES, FitSettings(method="paper")).evidence


def candidate(gain: float, resampled: np.ndarray) -> Candidate:
    held = HeldOut(*[np.zeros(1)] * 3, np.zeros(1, np.int64), np.ones(1, np.bool_), 1.0)
    return Candidate(PAPER, held, gain, resampled)


def test_the_standard_error_is_that_of_the_difference() -> None:
    """Gains that rise and fall together tell the two apart well, however much they spread."""
    spread = np.linspace(0, 1, 100)
    one, other = candidate(0.5, spread), candidate(0.47, spread + np.tile([-0.01, 0.01], 50))
    assert one.over(other) == pytest.approx((0.03, 0.01))
    assert one.surplus_over(other) == pytest.approx(0.03 - STANDARD_ERRORS * 0.01)
    assert STANDARD_ERRORS >= 1


def test_every_shape_and_structure_can_be_chosen() -> None:
    options = options_for(parse_objective("accuracy"))
    assert {option.shape for option in options} == set(SHAPES)
    assert {option.structure for option in options} == set(STRUCTURES)
    assert len(set(options)) == len(options)


def test_a_decision_keeps_the_members_own_probabilities() -> None:
    options = options_for(parse_objective("decision@class=0,threshold=0.5"))
    assert {option.structure for option in options} == {"plain"}


def test_folds_never_divide_a_group_and_all_hold_rows_inside() -> None:
    inside = np.arange(1024) < 24
    group = np.r_[np.arange(24) // 4, 6 + np.arange(1000)]
    fold = fold_of(group, inside, seed=0)
    assert set(fold[inside]) == set(fold[~inside]) == set(range(FOLDS))
    assert all(len(set(fold[group == name])) == 1 for name in range(6))
    assert np.ptp(np.bincount(fold[~inside])) == 0
    assert not np.array_equal(fold, fold_of(group, inside, seed=1))


@pytest.mark.parametrize("num_groups", [3, 6, 12])
def test_few_groups_can_be_fitted_on(num_groups: int) -> None:
    scores = replace(outputs(400, members=2), groups=np.arange(400) * num_groups // 400)
    policy = fit(scores, PAIR, FitSettings())
    assert ("chosen" in policy.evidence) == (num_groups == 12)


def test_resamples_draw_groups_whole() -> None:
    """With every group all right or all wrong, resampled accuracies are multiples of one group's share."""
    group = np.repeat(np.arange(10), 7)
    held = HeldOut(np.zeros(70), (group % 2).astype(float), np.ones(70), group, np.ones(70, np.bool_), 1.0)
    gains = resampled(held, parse_objective("accuracy"), seed=0)
    assert np.allclose(gains * 10, np.round(gains * 10))
    assert gains.std() == pytest.approx(np.sqrt(0.25 / 10), rel=0.25)
    assert np.array_equal(gains, resampled(held, parse_objective("accuracy"), seed=0))


def test_resamples_never_leave_a_side_empty() -> None:
    """Few strange rows among many: a resample without any would have no rate of them accepted."""
    inside = np.r_[np.ones(500, np.bool_), np.zeros(2, np.bool_)]
    rank = np.r_[np.linspace(0.5, 1, 500), 0.2, 0.3]
    held = HeldOut(rank, inside.astype(float), np.ones(502), np.arange(502), inside, 1.0)
    assert np.isfinite(resampled(held, parse_objective("fpr@tpr=0.9"), seed=0)).all()


def test_of_simple_fits_a_dearer_one_must_gain() -> None:
    noise = np.linspace(-1, 1, 100) * 0.01
    cheap, dear = (candidate(gain, spread) for gain, spread in ((0.5, 0 * noise), (0.502, noise)))
    dear = replace(dear, held=replace(dear.held, cost=2.0))
    assert best_simple([dear, cheap]) == cheap
    better = replace(dear, gain=0.51)
    assert best_simple([better, cheap]) == better
