"""The shapes of windows: which rows each takes in, and what it spends."""

import numpy as np
import pytest

from cascade.fitting.fit import Bench, FitSettings
from cascade.fitting.placement import rank_of
from cascade.fitting.shape import SHAPES, Laid, Task, gain, outcome_of
from cascade.fitting.table import NO_ROWS, Table, play, tabulate
from cascade.objectives.objective import Objective
from cascade.objectives.parse import parse_objective
from cascade.policy import Policy, RankedBy
from cascade.window import Window
from tests.cascade.made_up import STAGES, outputs

COVERAGE = parse_objective("coverage@risk=0.05")


def table_of(members: int, rows: int = 3000, seed: int = 0) -> Table:
    plain = Policy(kind="full", num_stages=members)
    costs = (1.0,) * members
    return tabulate(plain, STAGES[:members], outputs(rows, seed, members), COVERAGE, costs)


TWO, THREE = table_of(2), table_of(3)


def task(limit: float, objective: Objective = COVERAGE, ranked_by: RankedBy = "score") -> Task:
    return Task(objective, limit, ranked_by, seed=0)


def closest_threshold(table: Table, stage: int, risk: float) -> float:
    """The paper's tau, counted out: the threshold whose risk lies closest, but for the surest 1%."""
    order = np.argsort(-table.score[stage])
    wrong = 1 - table.outcome[stage, order]
    risks = np.cumsum(wrong) / np.arange(1, len(order) + 1)
    first = round(0.01 * len(order)) - 1
    return float(table.score[stage, order[first + np.abs(risks[first:] - risk).argmin()]])


@pytest.mark.parametrize("limit", [1.05, 1.2, 1.5])
def test_the_papers_window_lies_between_two_quantiles_around_tau(limit: float) -> None:
    laid = SHAPES["paper"](TWO, task(limit))
    tau = closest_threshold(TWO, 0, 0.05)
    ranks = np.argsort(np.argsort(TWO.score[0])) / TWO.num_rows
    q, width = (TWO.score[0] < tau).mean(), limit - 1
    expected = (ranks >= q - width / 2 - 1e-9) & (ranks < q + width / 2 - 1e-9)
    forwarded = play(TWO, laid.cuts, 0).reached(1)
    assert (forwarded != expected).sum() <= 1
    assert forwarded.mean() == pytest.approx(width, abs=1e-3)


def test_what_the_ends_cut_off_a_paper_window_is_lost() -> None:
    """tau at rank 0.05 with a width of 0.3: the ranks from 0 to 0.2 are left."""
    objective = parse_objective("risk@coverage=0.95")
    laid = SHAPES["paper"](TWO, task(1.3, objective))
    assert play(TWO, laid.cuts, 0).cost == pytest.approx(1.2, abs=1e-3)
    assert (laid.placements[0].share, laid.placements[0].slides) == (pytest.approx(0.3), False)
    window = laid.cuts[0].window
    assert window.lo == -np.inf
    assert (TWO.score[0] <= window.hi).mean() == pytest.approx(0.2, abs=1e-3)


def test_each_stage_of_the_papers_rule_has_a_tau_of_its_own() -> None:
    laid = SHAPES["paper"](THREE, task(1.3))
    for stage, placement in enumerate(laid.placements):
        tau = closest_threshold(THREE, stage, 0.05)
        assert rank_of(THREE.score[stage], THREE.traffic, placement.anchor) == pytest.approx(
            rank_of(THREE.score[stage], THREE.traffic, tau), abs=1.5 / THREE.num_rows
        )
        window = laid.cuts[stage].window
        assert window.lo < tau <= window.hi
    assert laid.ranked_by == "score"


def test_none_takes_nothing_and_threshold_the_least_sure() -> None:
    none, threshold = (SHAPES[shape](TWO, task(1.3)) for shape in ("none", "threshold"))
    assert none.cuts == (NO_ROWS,)
    forwarded = play(TWO, threshold.cuts, 0).reached(1)
    assert forwarded.mean() == pytest.approx(0.3, abs=1e-3)
    assert TWO.score[0, forwarded].max() < TWO.score[0, ~forwarded].min()
    assert threshold.cuts[0].window.lo == -np.inf


def accepting_threshold(laid: Laid, table: Table, task: Task) -> float:
    played = play(table, laid.cuts, 0)
    return task.objective.accept_above(laid.ranks(table, played), outcome_of(table, played), table.weight)


@pytest.mark.parametrize("ranked_by", ["score", "confidence"])
@pytest.mark.parametrize("objective", ["coverage@risk=0.05", "risk@coverage=0.7"])
def test_centred_windows_lie_around_the_threshold_of_the_cascade_they_make(
    ranked_by: RankedBy, objective: str
) -> None:
    asked = task(1.3, parse_objective(objective), ranked_by)
    laid = SHAPES["centred"](TWO, asked)
    threshold = laid.raw(0, accepting_threshold(laid, TWO, asked))
    centre = rank_of(TWO.score[0], TWO.traffic, threshold)
    window = laid.cuts[0].window
    lower, upper = (TWO.score[0] < window.lo).mean(), (TWO.score[0] <= window.hi).mean()
    assert upper - lower == pytest.approx(0.3, abs=1e-3)
    assert (lower + upper) / 2 == pytest.approx(centre, abs=0.03)
    assert abs(rank_of(TWO.score[0], TWO.traffic, closest_threshold(TWO, 0, 0.05)) - centre) > 0.03


@pytest.mark.parametrize("ranked_by", ["score", "confidence"])
def test_a_joint_search_spends_the_budget_and_loses_nothing(ranked_by: RankedBy) -> None:
    asked = task(1.4, ranked_by=ranked_by)
    joint, centred, paper = (SHAPES[shape](THREE, asked) for shape in ("joint", "centred", "paper"))
    assert play(THREE, joint.cuts, 0).cost == pytest.approx(1.4, abs=0.003)
    assert gain(joint, THREE, asked) >= gain(centred, THREE, asked) - 0.002
    assert gain(joint, THREE, asked) > gain(paper, THREE, asked)


def joint_shares(noise: tuple[float, float, float], budget: str) -> tuple[float, ...]:
    bench = Bench(outputs(6000, noise=noise), STAGES, FitSettings(budget=budget))
    policy = bench.structured("weights", bench.choosing)
    table = bench.table(policy).rows(bench.choosing)
    laid = SHAPES["joint"](table, Task(bench.objective, bench.limit, "confidence", 0))
    assert play(table, laid.cuts, 0).cost == pytest.approx(bench.limit, abs=0.005)
    return tuple(placement.share for placement in laid.placements)


def test_a_budget_goes_to_the_stages_that_are_worth_it() -> None:
    """The last stage is reached only through the one before: worthless, this is passed through."""
    first, last_share = joint_shares((1.0, 1.0, 30.0), "1.6x")
    assert last_share <= 0.2
    assert first >= 0.22
    first, last_share = joint_shares((1.0, 30.0, 0.1), "1.6x")
    assert last_share >= 0.7
    assert first <= 0.15


@pytest.mark.parametrize("ranked_by", ["score", "confidence"])
def test_a_threshold_on_ranks_is_one_on_raw_scores_at_each_depth(ranked_by: RankedBy) -> None:
    asked = task(1.8, ranked_by=ranked_by)
    laid = SHAPES["centred"](THREE, asked)
    played = play(THREE, laid.cuts, 0)
    ranks = laid.ranks(THREE, played)
    for coverage in (0.1, 0.35, 0.6, 0.9):
        above = parse_objective(f"risk@coverage={coverage}").accept_above(ranks, outcome_of(THREE, played))
        for depth in range(3):
            rows = played.depth == depth
            accepted = THREE.score[depth, rows] >= laid.raw(depth, above)
            assert accepted.tolist() == (ranks[rows] >= above).tolist()
    assert laid.raw(0, -np.inf) == -np.inf
    assert laid.raw(0, 2.0 if ranked_by == "confidence" else np.inf) == np.inf


def test_where_no_row_comes_there_is_no_calibrator() -> None:
    laid = SHAPES["none"](THREE, task(1.3))
    assert laid.calibrators[0] is not None
    assert laid.calibrators[1:] == (None, None)
    assert laid.cuts[0].window == Window(np.inf, -np.inf)
