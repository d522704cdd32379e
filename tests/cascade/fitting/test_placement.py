"""Where windows come to lie among ranks, what the coin divides, and what shares cost."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cascade.fitting.fit import FitSettings, divided, fit
from cascade.fitting.placement import (
    cut_between,
    lay,
    mean_cost,
    one_width,
    place,
    rank_of,
    spend,
    strict_threshold,
)
from cascade.fitting.table import NO_ROWS, Cut, Table, play, tabulate
from cascade.objectives.parse import parse_objective
from cascade.policy import Placement, Policy
from cascade.replay import replay
from cascade.scores_file import ScoresFile
from cascade.window import Tie, Window
from tests.cascade.made_up import STAGES, outputs, saturated

TEN = np.arange(10.0)
EVEN = np.ones(10)


def table_of(scores_rows: int = 4000, share: float = 0.0, seed: int = 0) -> Table:
    scores = outputs(scores_rows, seed)
    scores = saturated(scores, share) if share else scores
    plain = Policy(kind="full", num_stages=3)
    return tabulate(plain, STAGES, scores, parse_objective("accuracy"), (1.0, 1.0, 1.0))


def taken(cut: Cut, score: np.ndarray) -> list[bool]:
    return cut.window.contains(score).tolist()


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        (Placement(0.4, 4.5, 0.5), (2.5, 6.5)),
        (Placement(0.4, 4.5, 0.25), (3.5, 7.5)),
        (Placement(0.4, 4.5, 1.0), (0.5, 4.5)),
        (Placement(0.4, 4.5, 0.0), (4.5, 8.5)),
        (Placement(0.4, 4.5, -0.25), (5.5, math.inf)),
        (Placement(0.3, -math.inf, 0.0), (-math.inf, 2.5)),
        (Placement(0.3, math.inf, 1.0), (6.5, math.inf)),
        (Placement(1.0, 4.5, 0.5), (-math.inf, math.inf)),
    ],
)
def test_edges_lie_midway_between_scores(placement: Placement, expected: tuple[float, float]) -> None:
    window = lay(TEN, EVEN, placement).window
    assert (window.lo, window.hi) == expected


def test_a_window_slides_to_stay_among_the_ranks() -> None:
    """The share, and so the cost, holds wherever the anchor lies."""
    low, high = lay(TEN, EVEN, Placement(0.4, 1.0, 0.5)), lay(TEN, EVEN, Placement(0.4, 8.5, 0.5))
    assert (low.window, high.window) == (Window(-math.inf, 3.5), Window(5.5, math.inf))


def test_no_share_takes_no_row() -> None:
    assert lay(TEN, EVEN, Placement(0.0, 4.5, 0.5)) == NO_ROWS
    assert cut_between(TEN, EVEN, 0.3, 0.3) == NO_ROWS
    assert cut_between(np.empty(0), np.empty(0), 0.0, 1.0) == NO_ROWS


def test_ranks_count_traffic() -> None:
    traffic = np.array([3.0, 1, 1, 1, 1, 1, 1, 1, 0, 0])
    assert rank_of(TEN, traffic, 1.0) == 0.3
    assert cut_between(TEN, traffic, 0.0, 0.4).window == Window(-math.inf, 1.5)
    assert rank_of(np.empty(0), np.empty(0), 1.0) == 0.0


def test_a_window_open_at_the_ends_takes_rows_that_are_no_traffic_too() -> None:
    """Out-of-distribution rows may cost nothing, and yet lie below or above all that does."""
    traffic = np.r_[0.0, np.ones(8), 0.0]
    assert cut_between(TEN, traffic, 0.0, 0.5).window == Window(-math.inf, 4.5)
    assert cut_between(TEN, traffic, 0.5, 1.0).window == Window(4.5, math.inf)


@pytest.mark.parametrize(
    ("lower", "upper", "window", "ties"),
    [
        (0.0, 0.5, Window(-math.inf, 5.0), (Tie(5.0, 0.75),)),
        (0.5, 0.9, Window(5.0, 7.5), (Tie(5.0, 0.25),)),
        (0.3, 0.5, Window(5.0, 5.0), (Tie(5.0, 0.5),)),
        (0.2, 0.6, Window(4.0, 5.5), ()),
        (0.0, 0.2, Window(-math.inf, 4.0), ()),
        (0.6, 1.0, Window(5.5, math.inf), ()),
    ],
)
def test_a_coin_divides_a_plateau(lower: float, upper: float, window: Window, ties: tuple[Tie, ...]) -> None:
    score = np.array([1.0, 3.0, 5.0, 5.0, 5.0, 5.0, 6.0, 7.0, 7.0, 8.0])
    cut = cut_between(score, EVEN, lower, upper)
    assert cut.window == window
    assert [tie.score for tie in cut.ties] == [tie.score for tie in ties]
    assert [tie.share for tie in cut.ties] == pytest.approx([tie.share for tie in ties])


def test_both_edges_may_lie_on_plateaus() -> None:
    score = np.repeat([1.0, 2.0, 3.0], [4, 2, 4])
    cut = cut_between(score, EVEN, 0.1, 0.8)
    assert cut.window == Window(1.0, 3.0)
    assert [tie.score for tie in cut.ties] == [1.0, 3.0]
    assert [tie.share for tie in cut.ties] == pytest.approx([0.75, 0.5])


def test_a_row_alone_is_no_plateau() -> None:
    """However few the rows: an edge on a score would let a last bit flip the row."""
    assert cut_between(TEN, EVEN, 0.23, 0.46) == Cut(Window(1.5, 4.5))


@pytest.mark.parametrize("off", [0.0, 1e-17, 1e-13, 1e-11, 1e-9])
def test_a_hairs_breadth_of_a_plateau_is_not_all_of_it(off: float) -> None:
    """An edge at the very end of a plateau, but for rounding, leaves the plateau out."""
    score = np.r_[np.zeros(500), np.arange(1.0, 501)]
    table = replace(
        table_of(1000), score=np.tile(score, (3, 1)), digests=np.arange(1000).astype(np.uint64) * 977
    )
    rows = np.arange(1000)
    for lower, upper in ((0.5 - off, 0.6), (0.0, off)):
        cut = cut_between(score, np.ones(1000), lower, upper)
        share = cut.takes(table, rows, 0, 0).mean()
        assert share == pytest.approx(upper - lower, abs=1e-3)


def test_adjacent_doubles_are_told_apart() -> None:
    """MSPs saturate just below 1, where two scores may have no number between them."""
    score = np.array([1.0, 1.0 - 2.0**-53, 1.0 - 2.0**-52, 0.5])
    for lower in range(4):
        for upper in range(lower + 1, 5):
            window = cut_between(score, np.ones(4), lower / 4, upper / 4).window
            assert sorted(window.contains(score)) == [False] * (4 - upper + lower) + [True] * (upper - lower)
            if lower == 0:
                assert (score < strict_threshold(window)).tolist() == window.contains(score).tolist()


def test_a_strict_threshold_takes_in_what_its_window_does() -> None:
    score = np.array([1.0, 2.0, 2.0, 3.0])
    cut = lay(score, np.ones(4), Placement(0.75, -math.inf, 0.0))
    assert taken(cut, score) == [True, True, True, False]
    assert (score < strict_threshold(cut.window)).tolist() == [True, True, True, False]
    assert not (score < strict_threshold(NO_ROWS.window)).any()
    assert (score < strict_threshold(cut_between(score, np.ones(4), 0.0, 1.0).window)).all()
    divided = lay(score, np.ones(4), Placement(0.5, -math.inf, 0.0))
    assert divided.ties == (Tie(2.0, 0.5),)
    assert (score < strict_threshold(divided.window)).tolist() == [True, True, True, False]


def test_windows_are_conditional_on_the_rows_that_reach_a_stage() -> None:
    table = replace(table_of(1000), score=np.tile(np.arange(1000.0), (3, 1)))
    cuts = place(table, [Placement(0.4, 449.5, 0.5), Placement(0.5, 449.5, 0.5)], 0)
    assert [cut.window for cut in cuts] == [Window(249.5, 649.5), Window(349.5, 549.5)]
    assert play(table, cuts, 0).cost == pytest.approx(1 + 0.4 + 0.4 * 0.5)


@pytest.mark.parametrize("anchor", [-math.inf, 0.7, 1.0, math.inf])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.85])
def test_the_coin_keeps_the_budget_where_three_rows_in_ten_tie(share: float, anchor: float) -> None:
    table = table_of(20_000, share=0.3)
    assert (table.score[0] == 1.0).mean() == pytest.approx(0.3, abs=0.01)
    cuts = place(table, [Placement(share, anchor, 0.5), Placement(0.0, 0.0, 0.0)], seed=3)
    assert play(table, cuts, 3).cost == pytest.approx(1 + share, abs=0.01)
    fresh = table_of(20_000, share=0.3, seed=9)
    assert play(fresh, cuts, 3).cost == pytest.approx(1 + share, abs=0.02)


def test_shares_and_what_they_cost() -> None:
    assert mean_cost((1.0, 2.0, 3.0), (0.5, 0.4)) == pytest.approx(1 + 0.5 * 2 + 0.5 * 0.4 * 3)
    assert mean_cost((7.0,), ()) == 7.0
    assert one_width((1.0, 1.0), 1.2) == pytest.approx((0.2,))
    width = (-2 + math.sqrt(4 + 4 * 3 * 0.5)) / 6
    assert one_width((1.0, 2.0, 3.0), 1.5) == pytest.approx((width, width))
    assert one_width((1.0, 2.0, 3.0), 6.0) == one_width((1.0, 2.0, 3.0), math.inf) == (1.0, 1.0)
    assert one_width((1.0, 2.0), 1.0) == pytest.approx((0.0,), abs=1e-12)
    assert one_width((1.0,), 1.0) == ()


def test_the_first_stage_spends_what_the_later_ones_leave() -> None:
    assert spend((1.0, 2.0, 3.0), 1.5, (0.0,)) == (0.25, 0.0)
    assert spend((1.0, 2.0, 3.0), 1.5, (1.0,)) == (0.1, 1.0)
    assert spend((1.0, 2.0, 3.0), 9.0, (0.5,)) == (1.0, 0.5)
    shares = spend((1.0, 2.0, 3.0, 4.0), 2.0, (0.3, 0.6))
    assert mean_cost((1.0, 2.0, 3.0, 4.0), shares) == pytest.approx(2.0)


def test_identical_rows_on_a_plateau_never_break_the_budget() -> None:
    """Votes of 5: six distinct outputs, so each plateau goes on together or not at all."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    votes = rng.binomial(5, np.where(labels == 1, 0.7, 0.3), (2, 3000)) / 5
    probabilities = np.stack([1 - votes, votes], axis=-1).astype(np.float32)
    scores = ScoresFile(
        outputs=probabilities, kind="probabilities", labels=labels, names=("a", "b"), macs=(1.0, 1.0)
    )
    settings = FitSettings(kind="threshold", budget="1.3x")
    policy = fit(scores, (("a",), ("b",)), settings)
    assert any(policy.ties)
    choosing, _ = divided(scores, parse_objective(settings.objective), settings)
    played = replay(policy, (("a",), ("b",)), scores.rows(choosing))
    assert 1.0 <= 1 + played.reached(1).mean() <= 1.3
