"""Properties of windows laid over any scores, with any plateaus."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.fitting.placement import PLATEAU, lay, place, spend
from cascade.fitting.shape import SHAPES, Task
from cascade.fitting.table import Cut, Table, play
from cascade.objectives.parse import parse_objective
from cascade.policy import Placement

steady = settings(max_examples=60, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Case:
    rows: int
    values: int
    seed: int
    plateau: float

    def table(self, num_stages: int) -> Table:
        """Scores of a few values, or of many, a share of them at a plateau of 1; some rows cost nothing."""
        rng = np.random.default_rng(self.seed)
        shape = (num_stages, self.rows)
        score = rng.integers(0, self.values, shape) / self.values
        score[rng.random(shape) < self.plateau] = 1.0
        correct = rng.random(shape) < 0.4 + 0.6 * score
        return Table(
            score=score,
            outcome=correct.astype(float),
            event=correct,
            correct=correct,
            agree=np.zeros(shape, bool),
            inside=np.ones(self.rows, bool),
            weight=np.ones(self.rows),
            traffic=(rng.random(self.rows) < 0.8).astype(float),
            group=np.arange(self.rows),
            digests=rng.integers(0, 2**63, self.rows).astype(np.uint64),
            costs=tuple(rng.uniform(0.5, 3.0, num_stages)),
        )


cases = st.builds(
    Case,
    rows=st.integers(200, 1500),
    values=st.sampled_from([2, 7, 50, 10**9]),
    seed=st.integers(0, 10**6),
    plateau=st.sampled_from([0.0, 0.3, 0.9]),
)
shares = st.floats(0.0, 1.0)
anchors = st.one_of(st.sampled_from([-np.inf, 0.0, 1.0, np.inf]), st.floats(0.0, 1.0))


def expected_share(cut: Cut, table: Table) -> float:
    """The share of traffic that a cut takes on average over coins."""
    score = table.score[0]
    chance = cut.window.contains(score).astype(float)
    for tie in cut.ties:
        chance[score == tie.score] = tie.share
    return float(np.average(chance, weights=table.traffic))


@steady
@given(case=cases, share=shares, anchor=anchors, below=st.floats(-0.5, 1.0))
def test_a_cut_takes_its_share(case: Case, share: float, anchor: float, below: float) -> None:
    """But for half of a group of equal scores, too small for the coin, or half a row, at either edge."""
    table = case.table(1)
    cut = lay(table.score[0], table.traffic, Placement(share, anchor, below))
    grain = max(PLATEAU, 1 / table.traffic.sum())
    assert abs(expected_share(cut, table) - share) <= grain + 1e-9


@steady
@given(case=cases, share=shares, anchor=anchors, below=st.floats(0.0, 1.0))
def test_the_order_of_rows_changes_no_cut(case: Case, share: float, anchor: float, below: float) -> None:
    """At the level of windows; the division of rows by `fit` goes by their places, and so may change."""
    table = case.table(2)
    permuted = np.random.default_rng(case.seed + 1).permutation(case.rows)
    placements = [Placement(share, anchor, below)]
    cuts = place(table, placements, seed=3)
    assert place(table.rows(permuted), placements, seed=3) == cuts
    played, played_permuted = play(table, cuts, 3), play(table.rows(permuted), cuts, 3)
    assert np.array_equal(played_permuted.depth, played.depth[permuted])


@steady
@given(
    case=cases,
    shape=st.sampled_from(sorted(SHAPES)),
    num_stages=st.integers(2, 3),
    objective=st.sampled_from(["coverage@risk=0.1", "risk@coverage=0.8", "accuracy"]),
    beyond=st.floats(0.0, 1.2),
    ranked_by=st.sampled_from(["score", "confidence"]),
)
def test_every_shape_keeps_the_budget(
    case: Case, shape: str, num_stages: int, objective: str, beyond: float, ranked_by: str
) -> None:
    """Within what a coin may miss by (four standard deviations) and half a row an edge."""
    table = case.table(num_stages)
    limit = table.costs[0] + beyond * sum(table.costs[1:])
    task = Task(parse_objective(objective), limit, ranked_by, seed=1)  # type: ignore[arg-type]
    laid = SHAPES[shape](table, task)
    traffic = table.traffic.sum()
    coin = 4 * 0.5 / np.sqrt(traffic) if any(cut.ties for cut in laid.cuts) else 0.0
    slack = (coin + PLATEAU + 2 / traffic) * sum(table.costs[1:])
    assert play(table, laid.cuts, 1).cost <= limit + slack
    assert all(0 <= placement.share <= 1 for placement in laid.placements)


@steady
@given(
    costs=st.lists(st.floats(0.1, 10), min_size=2, max_size=5),
    later=st.lists(shares, min_size=4, max_size=4),
    beyond=st.floats(0.0, 2.0),
)
def test_what_is_spent_is_within_the_limit(costs: list[float], later: list[float], beyond: float) -> None:
    limit = costs[0] + beyond
    spent = spend(costs, limit, later[: len(costs) - 2])
    reaching, cost = 1.0, costs[0]
    for share, price in zip(spent, costs[1:], strict=True):
        reaching *= share
        cost += reaching * price
    assert cost <= limit + 1e-9
    assert spent[0] == 1.0 or abs(cost - limit) < 1e-9
