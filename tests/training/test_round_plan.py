import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.budget import Spent
from training.config import TrainingConfig
from training.plan import Snapshot
from training.round_plan import RoundPlan
from training.selection.config import SelectionConfig
from training.selection.registry import SELECTIONS

BY_ROUND = [name for name, selection in SELECTIONS.items() if selection.is_by_round]

# Worked out in selection/test_rules.py: N = 7, delta = 0.5. The trained batches of each round, and the
# loss that each then had.
RECORDED = [
    [(0, 2.0), (1, 3.0), (2, 1.0), (3, 2.5), (4, 3.0), (5, 0.5), (6, 1.75)],
    [(1, 2.25), (3, 2.0), (4, 2.75)],
    [(0, 1.5), (1, 1.25), (4, 1.0)],
    [(0, 0.75), (3, 1.5), (6, 0.25)],
    [(1, 0.25), (2, 0.25), (3, 0.25)],
    [(0, 0.5), (4, 0.5), (5, 0.5)],
]
UPDATES = [(number, batch, loss) for number, visits in enumerate(RECORDED) for batch, loss in visits]


def no_score(rows):
    raise AssertionError("rules over the table run nothing forward")


def make_plan(name="hard-batch", *, num_rows=15, batch_size=2, seed=0, eligible=None, **options):
    return RoundPlan(
        SelectionConfig.usual(name, **options),
        num_rows=num_rows,
        batch_size=batch_size,
        generator=np.random.default_rng(seed),
        eligible=None if eligible is None else np.array(eligible),
    )


def run(plan, num_updates, loss_of=lambda rows: rows * 0.0 + 1, progress=0.0):
    """The visits of so many updates; `loss_of` gives the losses of rows."""
    visits = []
    for _ in range(num_updates):
        visits.append(plan.next(progress, no_score))
        plan.record(visits[-1], loss_of(visits[-1].rows).astype(np.float64))
    return visits


def run_rounds(plan, num_rounds, loss_of=lambda rows: rows * 0.0 + 1):
    """The visits of so many whole rounds, a list each; the plan is then one update into the next."""
    rounds = {}
    while len(rounds) <= num_rounds:
        (visit,) = run(plan, 1, loss_of)
        rounds.setdefault(visit.round_number, []).append(visit)
    return [rounds[number] for number in range(num_rounds)]


def rows_of(visits):
    return np.concatenate([visit.rows for visit in visits])


def row_losses(loss):
    """Of the two rows of a batch: their mean is the recorded loss."""
    return np.array([loss - 0.125, loss + 0.125])


@pytest.mark.parametrize("keep_order", [True, False])
def test_the_paper_by_hand_update_by_update(keep_order):
    plan = make_plan(keep_order=keep_order, seed=5)
    order = np.arange(15) if keep_order else np.random.default_rng(5).permutation(15)
    # The fifteenth row is in no batch.
    batches = order[:14].reshape(7, 2)
    assert plan.num_batches == 7
    for number, batch, loss in UPDATES:
        visit = plan.next(0.5, no_score)
        assert visit.rows.tolist() == batches[batch].tolist()
        assert (visit.round_number, visit.weights, visit.num_scored) == (number, None, 0)
        plan.record(visit, row_losses(loss))
    assert plan.table.visits[order].tolist() == [4, 4, 4, 4, 2, 2, 4, 4, 4, 4, 2, 2, 2, 2, 0]
    assert plan.table.losses[batches].mean(axis=1).tolist() == [0.5, 0.25, 0.25, 0.25, 0.5, 0.5, 0.25]
    assert plan.table.visited_in[batches[:, 0]].tolist() == [5, 4, 4, 4, 5, 5, 3]


def test_an_epoch_is_n_updates_and_cuts_rounds():
    """7 | 1 3 4, 0 1 4, 0 | 3 6, 1 2 3, 0 4: two rounds are cut by the end of an epoch, one by the last."""
    plan = make_plan(keep_order=True)
    budget = TrainingConfig(epochs=3).budget_for(plan.num_batches)
    spent, trained = Spent(), []
    while (progress := budget.progress(spent)) < 1:
        visit = plan.next(progress, no_score)
        trained.append(int(visit.rows[0]) // 2)
        plan.record(visit, row_losses(UPDATES[spent.updates][2]))
        spent.updates += 1
    epochs = [trained[start : start + 7] for start in range(0, len(trained), 7)]
    assert epochs == [[0, 1, 2, 3, 4, 5, 6], [1, 3, 4, 0, 1, 4, 0], [3, 6, 1, 2, 3, 0, 4]]


def test_the_overlap_of_rounds_by_hand():
    """Batches of {0..6}, {1 3 4}, {0 1 4}, {0 3 6}, {1 2 3}, {0 4 5}: in both, over in either."""
    plan, seen = make_plan(), []
    for _, _, loss in UPDATES:
        visit = plan.next(0.0, no_score)
        seen.append(visit.round_overlap)
        plan.record(visit, row_losses(loss))
    assert seen == [None] * 7 + [3 / 7] * 3 + [2 / 4] * 3 + [1 / 5] * 3 + [1 / 5] * 3 + [0.0] * 3


def test_a_loss_of_this_round_does_not_change_this_round():
    plan = make_plan(keep_order=True)
    for loss in (5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.25):
        plan.record(plan.next(0.0, no_score), row_losses(loss))
    trained = [int(visit.rows[0]) // 2 for visit in run(plan, 3, lambda rows: rows * 0.0)]
    assert trained == [0, 1, 2]


def test_at_delta_1_the_paper_mode_is_training_without_reshuffling():
    first, second = run_rounds(make_plan(delta=1.0, seed=3), 2)
    expected = np.random.default_rng(3).permutation(15)[:14]
    assert rows_of(first).tolist() == rows_of(second).tolist() == expected.tolist()


def test_none_reshuffles_every_pass():
    passes = [rows_of(visits) for visits in run_rounds(make_plan("none", num_rows=40), 4)]
    assert all(sorted(rows) == list(range(40)) for rows in passes)
    assert len({tuple(rows) for rows in passes}) == 4


def test_rows_dropped_in_one_pass_are_in_others():
    """15 rows in batches of 4: 3 are left out of each pass, other ones when dealt anew."""
    plan = make_plan("none", batch_size=4)
    rounds = run_rounds(plan, 12)
    assert [len(visits) for visits in rounds] == [3] * 12
    assert plan.table.visits.min() > 0


def batches_in(visits):
    return {tuple(sorted(visit.rows)) for visit in visits}


@pytest.mark.parametrize(
    ("every", "expected"), [(0, [0] * 6), (1, [0, 1, 2, 3, 4, 5]), (2, [0, 0, 1, 1, 2, 2])]
)
def test_batches_are_dealt_anew_every_so_many_rounds(every, expected):
    plan = make_plan(num_rows=20, delta=1.0, reshuffle_every=every)
    deals = [batches_in(visits) for visits in run_rounds(plan, 6)]
    numbers = [deals.index(deal) for deal in deals]
    assert [sorted(set(numbers)).index(number) for number in numbers] == expected


def test_batches_dealt_anew_are_known_by_the_mean_of_their_rows_last_losses():
    plan = make_plan(num_rows=20, reshuffle_every=1, seed=2)
    losses = np.arange(20) ** 2 * 7 % 29 * 1.0
    _, second = run_rounds(plan, 2, lambda rows: losses[rows])
    generator = np.random.default_rng(2)
    dealt = generator.permutation(generator.permutation(20)).reshape(10, 2)
    # Batches 3 5 6 7 9; by the larger loss of each they would be 1 4 5 7 9, by the smaller 0 3 5 6 9.
    hardest = sorted(sorted(range(10), key=lambda batch: -losses[dealt[batch]].sum())[:5])
    assert hardest == [3, 5, 6, 7, 9]
    assert [visit.rows.tolist() for visit in second] == dealt[hardest].tolist()


def test_every_so_many_rounds_all_rows_are_trained():
    plan = make_plan("random-batch", num_rows=20, delta=0.3, full_every=3)
    rounds = run_rounds(plan, 7)
    assert [len(visits) for visits in rounds] == [10, 3, 3, 10, 3, 3, 10]
    # Full or not, the batches stay as they are.
    deal = batches_in(rounds[0])
    assert all(batches_in(visits) <= deal for visits in rounds)
    assert [visit.round_overlap for visit in (rounds[1][0], rounds[3][0])] == [0.3, 0.3]


@pytest.mark.parametrize("name", ["random-batch", "least-recent"])
def test_controls_begin_with_a_share(name):
    assert [len(visits) for visits in run_rounds(make_plan(name, num_rows=20, delta=0.3), 3)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("name", "options"), [("hard-batch", {}), ("random-batch", {"unit": "row"}), ("infobatch", {})]
)
def test_the_finish_trains_all_rows_dealt_anew(name, options):
    """The last quarter of 80 updates: from update 60 on, in the middle of a round as it may be."""
    plan = make_plan(name, num_rows=20, delta=0.3, finish=0.25, seed=2, **options)
    visits = [run(plan, 1, lambda rows: np.exp(rows), update / 80)[0] for update in range(80)]
    assert visits[59].round_number == visits[58].round_number
    assert visits[60].round_number == visits[59].round_number + 1
    last = [visits[60:70], visits[70:80]]
    assert all(sorted(rows_of(part)) == list(range(20)) for part in last)
    assert batches_in(last[0]) != batches_in(last[1])
    assert batches_in(last[0]) != batches_in(visits[:10])
    assert all(visit.weights is None for visit in visits[60:])
    assert {visit.round_number for visit in visits[70:]} == {visits[60].round_number + 1}


def test_without_a_finish_the_rule_goes_on_to_the_end():
    plan = make_plan(num_rows=20, delta=0.3)
    run(plan, 10, lambda rows: 2.0**rows)
    assert len(batches_in(run(plan, 9, lambda rows: 2.0**rows, progress=0.999))) == 3


def test_rows_are_chosen_by_hand_and_shuffled_into_batches():
    """Of 10 rows 6 a round: those of highest loss, in 3 batches of 2; their losses stay what they are."""
    plan = make_plan(num_rows=10, unit="row", delta=0.6)
    rounds = run_rounds(plan, 4, lambda rows: (rows * 7 % 10) * 1.0)
    # 7 * row modulo 10: 0 7 4 1 8 5 2 9 6 3. The highest six: 9 8 7 6 5 4 of rows 7 4 1 8 5 2.
    assert [sorted(rows_of(visits)) for visits in rounds] == [list(range(10))] + [[1, 2, 4, 5, 7, 8]] * 3
    assert len({tuple(rows_of(visits)) for visits in rounds[1:]}) == 3
    assert rounds[2][0].round_overlap == 1.0


def test_the_last_partial_batch_of_chosen_rows_is_dropped():
    rounds = run_rounds(make_plan(num_rows=10, unit="row", delta=0.7), 3, lambda rows: 1.0 * rows)
    # 7 of 10 rows: 3 batches.
    assert [len(visits) for visits in rounds] == [5, 3, 3]
    assert set(rows_of(rounds[1])) < set(range(3, 10))


def test_weights_belong_to_the_rows_and_stay_for_the_round():
    """Losses of the first pass are the rows' numbers, mean 9.5; what they are later must not matter yet."""
    plan = make_plan("infobatch", num_rows=20, delta=0.25, seed=1)
    first = run(plan, 10, lambda rows: rows * 1.0)
    assert all(visit.weights is None or (visit.weights == 1).all() for visit in first)
    second = [plan.next(0.0, no_score)]
    while second[-1].round_number == 1:
        plan.record(second[-1], 100.0 - second[-1].rows)
        second.append(plan.next(0.0, no_score))
    rows, weights = rows_of(second[:-1]), np.concatenate([visit.weights for visit in second[:-1]])
    assert weights.tolist() == [4.0 if row < 9.5 else 1.0 for row in rows]
    # All of the hard ones but the one that may be in a partial batch, and not all of the easy ones.
    assert len(set(rows) & set(range(10, 20))) >= 9
    assert 0 < len(set(rows) & set(range(10))) < 9


def test_infobatch_trains_each_row_as_much_as_full_passes_would():
    """Over many rounds the weights a row trains with add up to the number of rounds."""
    plan = make_plan("infobatch", num_rows=40, batch_size=4, delta=0.5, seed=4)
    total = np.zeros(40)
    rounds = run_rounds(plan, 400, lambda rows: rows * 1.0)
    for visit in (visit for visits in rounds for visit in visits):
        total[visit.rows] += 1 if visit.weights is None else visit.weights
    assert total[:20].mean() == pytest.approx(400, rel=0.07)
    assert total[20:].mean() == pytest.approx(400, rel=0.07)


def test_fewer_rows_than_a_batch_are_a_round_of_everything_at_equal_weights():
    """One row is far above the mean, the others are kept with a chance of nearly nothing."""
    plan = make_plan("infobatch", num_rows=12, batch_size=4, delta=1e-6)
    rounds = run_rounds(plan, 3, lambda rows: np.where(rows == 5, 100.0, 1.0))
    assert [sorted(rows_of(visits)) for visits in rounds] == [list(range(12))] * 3
    assert [visit.weights for visit in rounds[1]] == [None] * 3


def test_only_eligible_rows_are_chosen_but_in_full_rounds():
    eligible = [1, 4, 6, 7, 9, 12]
    plan = make_plan("cascade-aware", num_rows=14, eligible=eligible, full_every=3, finish=0.5)
    rounds = run_rounds(plan, 6)
    expected = [list(range(14)), eligible, eligible]
    assert [sorted(rows_of(visits)) for visits in rounds] == expected * 2
    assert not np.array_equal(rows_of(rounds[1]), rows_of(rounds[2]))
    assert sorted(rows_of(run(plan, 7, progress=0.5))) == list(range(14))


def test_a_rule_sees_the_losses_of_the_eligible_rows_alone():
    """Losses rise with the row's number: of the five eligible the hardest two are 10 and 11."""
    eligible = [3, 5, 8, 10, 11]
    plan = make_plan(unit="row", num_rows=14, delta=0.4, eligible=eligible)
    rounds = run_rounds(plan, 4, lambda rows: 1.0 * rows)
    assert all(set(rows_of(visits)) <= set(eligible) for visits in rounds)
    # The first round has two batches of two, and so leaves one row unseen: it is among the hardest then.
    (unseen,) = set(eligible) - set(rows_of(rounds[0]))
    hardest_seen = max(row for row in eligible if row != unseen)
    assert sorted(rows_of(rounds[1])) == sorted([unseen, hardest_seen])
    assert sorted(rows_of(rounds[2])) == sorted(rows_of(rounds[3])) == [10, 11]


def test_too_few_eligible_rows_are_a_round_of_everything():
    rounds = run_rounds(make_plan("cascade-aware", num_rows=12, batch_size=4, eligible=[2, 3, 5]), 2)
    assert [sorted(rows_of(visits)) for visits in rounds] == [list(range(12))] * 2


def test_two_plans_of_one_seed_are_the_same_and_of_another_are_not():
    first, second, other = (rows_of(run(make_plan("none", seed=seed), 30)) for seed in (7, 7, 8))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def plan_of(draw, seed):
    name = draw["name"]
    options = {key: draw[key] for key in ("delta", "full_every", "finish") if name != "none"}
    if name in ("hard-batch", "random-batch", "least-recent"):
        options["unit"] = draw["unit"]
    if name == "none" or options.get("unit") == "batch":
        options |= {"reshuffle_every": draw["reshuffle_every"], "keep_order": draw["keep_order"]}
    eligible = [0, 3, 4, 8, 9, 11, 13] if name == "cascade-aware" else None
    return make_plan(name, num_rows=17, batch_size=3, seed=seed, eligible=eligible, **options)


def go_on(plan, updates):
    """What is seen of the updates of these numbers of 60."""
    seen = []
    for update in updates:
        visit = plan.next(update / 60, no_score)
        plan.record(visit, np.sin(visit.rows * 12.9898 + update) ** 2)
        weights = None if visit.weights is None else visit.weights.tolist()
        seen.append((visit.rows.tolist(), weights, visit.round_number, visit.round_overlap))
    return seen, plan.table.losses.tolist(), plan.table.visits.tolist(), plan.table.visited_in.tolist()


def saved(plan):
    """As a checkpoint has it: copies of the arrays, the document through JSON."""
    snapshot = plan.take_out()
    arrays = {name: array.copy() for name, array in snapshot.arrays.items()}
    return Snapshot(arrays=arrays, document=json.loads(json.dumps(snapshot.document, allow_nan=False)))


@settings(deadline=None, max_examples=80)
@given(
    draw=st.fixed_dictionaries(
        {
            "name": st.sampled_from(BY_ROUND),
            "delta": st.sampled_from([0.1, 0.5, 1.0]),
            "unit": st.sampled_from(["batch", "row"]),
            "reshuffle_every": st.integers(0, 2),
            "keep_order": st.booleans(),
            "full_every": st.integers(0, 3),
            "finish": st.sampled_from([0.0, 0.25]),
        }
    ),
    num_updates=st.integers(0, 59),
    used=st.integers(0, 10),
)
def test_a_plan_goes_on_from_its_snapshot(draw, num_updates, used):
    original, fresh = plan_of(draw, seed=1), plan_of(draw, seed=2)
    go_on(original, range(num_updates))
    snapshot = saved(original)
    # A plan that is put back may have been at work itself.
    go_on(fresh, range(used))
    fresh.put_back(snapshot)
    expected = str(go_on(original, range(num_updates, 60)))
    assert str(go_on(fresh, range(num_updates, 60))) == expected
    again = plan_of(draw, seed=3)
    again.put_back(snapshot)
    assert str(go_on(again, range(num_updates, 60))) == expected


def test_rounds_follow_each_other():
    numbers = [visit.round_number for visit in run(make_plan("random-batch", num_rows=20), 40)]
    assert numbers[0] == 0
    assert {later - earlier for earlier, later in pairwise(numbers)} == {0, 1}
