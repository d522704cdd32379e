import math
from dataclasses import replace

import pytest

from tests.training.compare.test_results import HARD, NONE, result
from training.compare.results import Arm
from training.compare.statistics import Difference, Spread, by_labels, summarise, updates_to_target
from training.errors import ConfigError

# Student's t at 97.5%, from printed tables.
T_1, T_2 = 12.706205, 4.302653


def runs(arm, accuracies, nlls=(0.6, 0.6, 0.6)):
    pairs = enumerate(zip(accuracies, nlls, strict=False))
    return [result(arm, seed, test_accuracy=accuracy, test_nll=nll) for seed, (accuracy, nll) in pairs]


def test_the_interval_is_students():
    difference = Difference(seeds=(0, 1, 2), values=(0.01, 0.02, 0.06))
    # Mean 0.03, deviations -0.02, -0.01, 0.03, so a variance of 0.0014 / 2.
    half_width = T_2 * math.sqrt(0.0007) / math.sqrt(3)
    assert difference.mean == pytest.approx(0.03)
    assert difference.half_width == pytest.approx(half_width, rel=1e-6)
    assert (difference.low, difference.high) == pytest.approx(
        (0.03 - half_width, 0.03 + half_width), rel=1e-6
    )
    assert not difference.excludes_zero


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_of_two_seeds_needs_much_to_exclude_zero(sign):
    near = Difference(seeds=(0, 1), values=(sign * 0.01, sign * 0.012))
    # |0.01 - 0.012| / 2 is s / sqrt(2).
    assert near.half_width == pytest.approx(T_1 * 0.001, rel=1e-6)
    assert not near.excludes_zero
    assert Difference(seeds=(0, 1), values=(sign * 0.02, sign * 0.022)).excludes_zero


def test_an_arm_is_compared_seed_by_seed():
    plain = runs(NONE, (0.80, 0.70, 0.60), (0.5, 0.6, 0.7))
    hard = runs(HARD, (0.81, 0.72, 0.63), (0.4, 0.51, 0.59))
    base, summary = summarise([*plain, *reversed(hard)], baseline="none", target_accuracy=None)
    assert (base.accuracy_difference, base.nll_difference) == (None, None)
    assert summary.num_seeds == 3
    assert summary.test_accuracy.mean == pytest.approx(0.72)
    assert summary.test_accuracy.deviation == pytest.approx(0.09)
    accuracy, nll = summary.accuracy_difference, summary.nll_difference
    assert accuracy is not None
    assert nll is not None
    assert accuracy.seeds == (0, 1, 2)
    assert accuracy.values == pytest.approx((0.01, 0.02, 0.03))
    assert accuracy.half_width == pytest.approx(T_2 * 0.01 / math.sqrt(3), rel=1e-6)
    assert nll.mean == pytest.approx(-0.1)
    # The seeds lie ten times as far apart as the differences: only pairing tells these from zero.
    assert nll.half_width == pytest.approx(T_2 * 0.01 / math.sqrt(3), rel=1e-6)
    assert nll.excludes_zero
    assert not accuracy.excludes_zero


def test_only_common_seeds_are_compared():
    plain = runs(NONE, (0.5, 0.6, 0.7))
    hard = [
        result(HARD, 2, test_accuracy=0.8),
        result(HARD, 7, test_accuracy=0.1),
        result(HARD, 1, test_accuracy=0.6),
    ]
    _, summary = summarise([*plain, *hard], baseline="none", target_accuracy=None)
    assert summary.num_seeds == 3
    assert summary.accuracy_difference is not None
    assert summary.accuracy_difference.seeds == (1, 2)
    assert summary.accuracy_difference.values == pytest.approx((0.0, 0.1))
    _, summary = summarise([*plain, hard[0], hard[1]], baseline="none", target_accuracy=None)
    assert summary.accuracy_difference is None


def test_one_seed_has_no_deviation():
    (summary,) = summarise([result(seed=4, test_accuracy=0.75)], baseline=None, target_accuracy=None)
    assert summary.test_accuracy == Spread(mean=0.75, deviation=None)
    assert summary.accuracy_difference is None


def test_arms_are_compared_on_the_same_labels_only():
    worse_none, worse_hard = (replace(arm, labels="worse") for arm in (NONE, HARD))
    results = [
        *runs(NONE, (0.9, 0.9, 0.9)),
        *runs(worse_hard, (0.5, 0.6, 0.7)),
        *runs(HARD, (0.8, 0.7, 0.9)),
        *runs(worse_none, (0.4, 0.4, 0.4)),
    ]
    summaries = summarise(results, baseline="none", target_accuracy=None)
    assert [summary.arm for summary in summaries] == [NONE, HARD, worse_hard, worse_none]
    of_labels = {labels: [s.arm.name for s in group] for labels, group in by_labels(summaries).items()}
    assert of_labels == {"": ["none", "hard-batch 0.5"], "worse": ["hard-batch 0.5", "none"]}
    means = [s.accuracy_difference and round(s.accuracy_difference.mean, 12) for s in summaries]
    assert means == [None, -0.1, 0.2, None]


def test_labels_without_the_baseline_show_no_difference():
    lonely = replace(HARD, labels="worse")
    summaries = summarise(
        [*runs(NONE, (0.9, 0.8)), *runs(lonely, (0.5, 0.6))], baseline="none", target_accuracy=None
    )
    assert [summary.accuracy_difference for summary in summaries] == [None, None]


def test_the_target_is_reached_at_the_first_point_that_has_it():
    run = result(accuracies=(0.5, 0.8, 0.7, 0.9))
    assert [updates_to_target(run, target) for target in (0.4, 0.8, 0.81, 0.95)] == [10, 20, 40, None]


@pytest.mark.parametrize(
    ("firsts", "median", "num_reached"),
    [
        ((1, 2, 3), 20, 3),
        ((1, 3, None), 30, 2),
        ((1, None, None), None, 1),
        ((1, 2), 15, 2),
        ((1, None), None, 1),
        ((None, None), None, 0),
    ],
)
def test_a_seed_that_never_gets_there_counts_as_infinite(firsts, median, num_reached):
    def accuracies(first):
        return tuple(0.9 if number == first else 0.5 for number in (1, 2, 3))

    results = [result(seed=seed, accuracies=accuracies(first)) for seed, first in enumerate(firsts)]
    (summary,) = summarise(results, baseline="none", target_accuracy=0.9)
    assert summary.updates_to_target == tuple(None if first is None else 10 * first for first in firsts)
    assert summary.median_updates_to_target == median
    assert summary.num_reached == num_reached


def test_without_a_target_nothing_is_reached():
    (summary,) = summarise([result()], baseline=None, target_accuracy=None)
    assert (summary.updates_to_target, summary.median_updates_to_target) == ((), None)
    assert summary.to_row()["num_reached"] is None


def test_work_and_visits_are_summed_up():
    first, second = result(HARD, 0), result(HARD, 1, accuracies=(0.1, 0.2, 0.3))
    second = replace(
        second, visits_min=0, visits_max=2, mean_overlap=0.25, share_never_again=0.375, seconds=4.0
    )
    (summary,) = summarise([first, second], baseline=None, target_accuracy=None)
    assert (summary.updates, summary.samples_forward, summary.samples_backward) == (25, 200, 100)
    assert (summary.visits_min, summary.visits_max) == (0, 3)
    assert (summary.mean_overlap, summary.share_never_again) == (0.375, 0.25)
    assert summary.seconds.mean == 3.0
    assert summary.seconds.deviation == pytest.approx(math.sqrt(2))
    assert summary.validation_accuracy.mean == pytest.approx((0.75 + 0.3) / 2)


def test_a_mean_is_over_the_seeds_where_a_value_is_known():
    results = [result(HARD, 0), replace(result(HARD, 1), mean_overlap=None)]
    results.append(replace(result(HARD, 2), mean_overlap=0.0))
    (summary,) = summarise(results, baseline=None, target_accuracy=None)
    assert summary.mean_overlap == 0.25


def test_a_row_holds_the_interval():
    results = [*runs(NONE, (0.5, 0.5, 0.5)), *runs(HARD, (0.51, 0.52, 0.56))]
    base, hard = (s.to_row() for s in summarise(results, baseline="none", target_accuracy=0.7))
    assert base["accuracy_difference_mean"] is None
    assert hard["accuracy_difference_mean"] == pytest.approx(0.03)
    assert hard["accuracy_difference_high"] == pytest.approx(0.03 + hard["accuracy_difference_half_width"])
    assert hard["accuracy_difference_num_seeds"] == 3
    assert (hard["median_updates_to_target"], hard["num_reached"]) == (20, 3)


@pytest.mark.parametrize(
    ("results", "baseline", "target", "complaint"),
    [
        ([], None, None, "nothing to compare: there are no results"),
        (
            [result(HARD, 3), result(NONE, 3), result(HARD, 3)],
            None,
            None,
            "2 results of hard-batch 0.5 at seed 3",
        ),
        (
            [result(replace(HARD, labels="worse"), 3)] * 3,
            None,
            None,
            "3 results of hard-batch 0.5 on labels worse at seed 3: one is wanted",
        ),
        (
            [result(HARD), result(NONE), result(Arm(selection="random", delta=0.2))],
            "random",
            None,
            "no baseline 'random' among the arms: there is hard-batch 0.5, none, random 0.2",
        ),
        ([result()], None, 1.5, "target_accuracy must be between 0 and 1, got 1.5"),
    ],
)
def test_what_can_not_be_compared_is_refused(results, baseline, target, complaint):
    with pytest.raises(ConfigError, match=complaint):
        summarise(results, baseline=baseline, target_accuracy=target)
