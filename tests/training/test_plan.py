import numpy as np

from training.plan import BatchPlan
from training.selection.rules import SELECTIONS


def make_plan(selection, *, num_rows=11, batch_size=2, delta=0.5, seed=0):
    return BatchPlan(
        SELECTIONS[selection],
        num_rows=num_rows,
        batch_size=batch_size,
        delta=delta,
        generator=np.random.default_rng(seed),
    )


def run(plan, losses):
    visits = []
    for loss in losses:
        visit = plan.next()
        plan.record(visit, loss)
        visits.append(visit)
    return visits


def test_hard_batch_visits_by_hand():
    plan = make_plan("hard-batch")
    assert plan.num_batches == 5
    visits = run(plan, [5.0, 4.0, 3.0, 2.0, 1.0, 3.5, 2.5, 0.5, 2.2, 2.1])
    assert [visit.batch for visit in visits] == [0, 1, 2, 3, 4, 0, 1, 0, 2, 1]
    assert [visit.round_number for visit in visits] == [0, 0, 0, 0, 0, 1, 1, 2, 2, 3]
    assert [visit.round_overlap for visit in visits[3:]] == [None, None, 0.4, 0.4, 1 / 3, 1 / 3, 1 / 3]


def test_the_loss_of_this_round_does_not_change_this_round():
    plan = make_plan("hard-batch")
    visits = run(plan, [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 0.0])
    assert [visit.batch for visit in visits[5:]] == [0, 1]


def test_hard_batch_keeps_the_rows_of_a_batch():
    plan = make_plan("hard-batch", delta=1.0)
    visits = run(plan, [1.0] * 10)
    for first, second in zip(visits[:5], visits[5:], strict=True):
        assert first.batch == second.batch
        assert np.array_equal(first.rows, second.rows)


def test_rows_are_permuted_once_by_the_seed_and_the_last_partial_batch_is_dropped():
    rows = np.concatenate([visit.rows for visit in run(make_plan("hard-batch", seed=3), [1.0] * 5)])
    assert np.array_equal(rows, np.random.default_rng(3).permutation(11)[:10])


def test_none_reshuffles_each_epoch():
    first, second = np.split(
        np.concatenate([visit.rows for visit in run(make_plan("none", num_rows=10), [1.0] * 10)]), 2
    )
    assert sorted(first) == sorted(second) == list(range(10))
    assert not np.array_equal(first, second)


def test_two_plans_of_one_seed_are_the_same():
    first, second = (run(make_plan("none", seed=7), [1.0] * 15) for _ in range(2))
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(first, second, strict=True))
