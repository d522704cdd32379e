import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.candidate_plan import CandidatePlan
from training.plan import Snapshot
from training.selection.config import SelectionConfig


class Scorer:
    """Gives the losses of rows and keeps which were asked for, a list a call."""

    def __init__(self, loss_of):
        self.loss_of = loss_of
        self.asked = []

    def __call__(self, rows):
        self.asked.append(rows.tolist())
        return self.loss_of(rows).astype(np.float64)


def odd_is_hard(rows):
    return rows % 2 * 1.0


def make_plan(name, *, num_rows=16, batch_size=4, seed=0, **options):
    return CandidatePlan(
        SelectionConfig.usual(name, **options),
        num_rows=num_rows,
        batch_size=batch_size,
        generator=np.random.default_rng(seed),
    )


def run(plan, num_updates, score, progress=0.0):
    visits = []
    for _ in range(num_updates):
        visits.append(plan.next(progress, score))
        plan.record(visits[-1], np.ones(len(visits[-1].rows)))
    return visits


def rows_of(visits):
    return [visit.rows.tolist() for visit in visits]


def trained_in(visits):
    return [row for rows in rows_of(visits) for row in rows]


def test_top_k_trains_the_hardest_of_each_draw_in_its_order():
    """Candidates are 4 at a time from permutations of the rows; loss is the row's number."""
    plan, score = make_plan("top-k", num_rows=8, batch_size=2), Scorer(lambda rows: rows)
    visits = run(plan, 4, score)
    generator = np.random.default_rng(0)
    draws = np.concatenate([generator.permutation(8) for _ in range(2)]).reshape(4, 4).tolist()
    assert score.asked == draws
    assert rows_of(visits) == [[row for row in draw if row in sorted(draw)[2:]] for draw in draws]
    assert [visit.num_scored for visit in visits] == [4] * 4
    assert [visit.round_number for visit in visits] == [0, 0, 1, 1]
    assert plan.num_batches == 4


def test_candidates_of_a_draw_are_distinct_and_a_remainder_is_left_out():
    """10 rows, draws of 4: 2 are left of each pass, too few to go on with."""
    plan, score = make_plan("top-k", num_rows=10, batch_size=2), Scorer(odd_is_hard)
    visits = run(plan, 40, score)
    assert all(len(set(draw)) == 4 for draw in score.asked)
    assert [visit.round_number for visit in visits] == [update // 2 for update in range(40)]


def test_a_pool_is_never_larger_than_the_rows_there_are():
    plan, score = make_plan("top-k", num_rows=6, batch_size=2, delta=0.1), Scorer(lambda rows: -rows)
    visits = run(plan, 3, score)
    assert [sorted(draw) for draw in score.asked] == [list(range(6))] * 3
    assert [sorted(rows) for rows in rows_of(visits)] == [[0, 1]] * 3


def test_the_overlap_is_between_the_last_two_passes_that_are_over():
    plan = make_plan("top-k", num_rows=8, batch_size=2)
    passes = [run(plan, 2, Scorer(lambda rows: rows)) for _ in range(4)]
    trained = [set(trained_in(visits)) for visits in passes]
    jaccard = [len(a & b) / len(a | b) for a, b in pairwise(trained)]
    seen = [[visit.round_overlap for visit in visits] for visits in passes]
    assert seen == [[None] * 2, [None] * 2, [jaccard[0]] * 2, [jaccard[1]] * 2]
    assert jaccard[0] < 1


def test_selective_backprop_queues_what_is_kept_to_full_batches():
    """Delta 0.01, so beta 99: an even row's percentile, at most 3/4, comes to nothing; an odd one's is 1."""
    plan, score = make_plan("selective-backprop", delta=0.01, seed=3), Scorer(odd_is_hard)
    visits, num_draws = [], []
    for _ in range(6):
        before = len(score.asked)
        visits += run(plan, 1, score)
        num_draws.append(len(score.asked) - before)
    kept = [row for draw in score.asked for row in draw if row % 2]
    assert rows_of(visits) == [kept[start : start + 4] for start in range(0, 24, 4)]
    assert [visit.num_scored for visit in visits] == [4 * number for number in num_draws]
    # 8 odd rows a pass of 4 draws; what was kept beyond a batch saves the next one draws.
    assert sum(num_draws) >= 12
    assert len(set(num_draws)) > 1
    assert all(len(draw) == 4 for draw in score.asked)


def test_candidates_are_in_the_history_they_are_ranked_in():
    """Each draw is harder than all before, so that its last alone has percentile 1, and beta is 99."""
    plan, score = make_plan("selective-backprop", delta=0.01), Scorer(None)
    score.loss_of = lambda rows: len(score.asked) * 10.0 + np.arange(4)
    visits = run(plan, 3, score)
    assert trained_in(visits) == [draw[-1] for draw in score.asked]
    assert [visit.num_scored for visit in visits] == [16] * 3


def test_what_is_as_hard_as_all_that_is_known_is_kept():
    plan, score = make_plan("selective-backprop", delta=0.01), Scorer(lambda rows: rows * 0 + 2)
    visits = run(plan, 4, score)
    assert rows_of(visits) == score.asked
    assert sorted(trained_in(visits)) == list(range(16))


def test_at_delta_1_selective_backprop_trains_all_it_scores():
    plan, score = make_plan("selective-backprop", delta=1.0), Scorer(lambda rows: rows)
    assert rows_of(run(plan, 9, score)) == score.asked


def test_selective_backprop_keeps_about_a_share_delta():
    plan = make_plan("selective-backprop", num_rows=1000, batch_size=10, delta=0.25)
    visits = run(plan, 400, Scorer(lambda rows: rows * 1.0))
    assert 4000 / sum(visit.num_scored for visit in visits) == pytest.approx(0.25, abs=0.02)
    # The chance of percentile p is p**3, so its mean among the kept is 4/5.
    assert np.mean(rows_of(visits)) / 1000 == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("name", ["top-k", "selective-backprop"])
def test_the_finish_trains_rows_as_they_come_unscored(name):
    plan, score = make_plan(name, finish=0.25, seed=5), Scorer(odd_is_hard)
    run(plan, 3, score, progress=0.74)
    num_asked = len(score.asked)
    rest = plan.take_out().arrays["stream"].tolist()
    visits = run(plan, 8, score, progress=0.75)
    assert len(score.asked) == num_asked
    assert [visit.num_scored for visit in visits] == [0] * 8
    trained = trained_in(visits)
    assert trained[: len(rest)] == rest
    assert sorted(trained[len(rest) : len(rest) + 16]) == list(range(16))


def test_without_a_finish_all_is_scored_to_the_end():
    plan, score = make_plan("top-k"), Scorer(odd_is_hard)
    assert [visit.num_scored for visit in run(plan, 3, score, progress=0.999)] == [8] * 3


def test_what_was_trained_is_in_the_table():
    plan = make_plan("top-k", num_rows=8, batch_size=2)
    (visit,) = run(plan, 1, Scorer(lambda rows: rows))
    plan.record(visit, np.array([0.5, 0.75]))
    assert plan.table.losses[visit.rows].tolist() == [0.5, 0.75]
    assert plan.table.visits.sum() == 4
    assert np.isnan(plan.table.losses).sum() == 6


def go_on(plan, updates):
    """What is seen of the updates of these numbers of 60."""
    seen = []
    for update in updates:
        score = Scorer(lambda rows, update=update: np.cos(rows * 78.233 + update) ** 2)
        visit = plan.next(update / 60, score)
        plan.record(visit, np.sin(visit.rows * 12.9898 + update) ** 2)
        seen.append((visit.rows.tolist(), visit.num_scored, visit.round_number, visit.round_overlap))
    return seen, plan.table.losses.tolist(), plan.table.visits.tolist(), plan.table.visited_in.tolist()


def saved(plan):
    """As a checkpoint has it: copies of the arrays, the document through JSON."""
    snapshot = plan.take_out()
    arrays = {name: array.copy() for name, array in snapshot.arrays.items()}
    return Snapshot(arrays=arrays, document=json.loads(json.dumps(snapshot.document, allow_nan=False)))


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(["top-k", "selective-backprop"]),
    delta=st.sampled_from([0.2, 0.5, 1.0]),
    finish=st.sampled_from([0.0, 0.25]),
    num_updates=st.integers(0, 59),
    used=st.integers(0, 10),
)
def test_a_plan_goes_on_from_its_snapshot(name, delta, finish, num_updates, used):
    original, fresh, again = (
        make_plan(name, num_rows=17, batch_size=3, delta=delta, finish=finish, seed=seed)
        for seed in (1, 2, 3)
    )
    go_on(original, range(num_updates))
    snapshot = saved(original)
    # A plan that is put back may have been at work itself.
    go_on(fresh, range(used))
    fresh.put_back(snapshot)
    expected = str(go_on(original, range(num_updates, 60)))
    assert str(go_on(fresh, range(num_updates, 60))) == expected
    again.put_back(snapshot)
    assert str(go_on(again, range(num_updates, 60))) == expected
