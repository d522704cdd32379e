"""What is drawn, read off the artists."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from tests.training.compare.test_results import HARD, NONE, point, result
from training.compare.pictures import BASELINE, arm_looks, draw_comparison, mean_curve, spread_out
from training.compare.results import Arm
from training.compare.statistics import summarise

RANDOM = Arm(selection="random", delta=0.5)


def draw(results, *, baseline="none", target_accuracy=None) -> Figure:
    summaries = summarise(results, baseline=baseline, target_accuracy=target_accuracy)
    return draw_comparison(results, summaries, baseline=baseline, target_accuracy=target_accuracy)


def runs(arm, accuracies):
    """Two seeds or more; each ends its curve at its test accuracy."""
    return [
        result(arm, seed, accuracies=(0.4, 0.6, accuracy), test_accuracy=accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]


RESULTS = [*runs(NONE, (0.7, 0.8)), *runs(HARD, (0.8, 0.9)), *runs(RANDOM, (0.7, 0.7))]


def whiskers(axes: Axes) -> list[tuple[float, float, bool]]:
    """Of each interval its mean and half-width, and whether its dot is filled."""
    found = []
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        dot, _, (bar,) = container.lines
        (low, _), (high, _) = bar.get_segments()[0]
        filled = dot.get_markerfacecolor() == dot.get_color()
        found.append((round(float(dot.get_xdata()[0]), 9), round((high - low) / 2, 6), filled))
    return found


def test_a_line_an_arm_and_a_band_over_its_seeds():
    axes = draw(RESULTS).axes[0]
    assert [line.get_label() for line in axes.lines] == ["none", "hard-batch 0.5", "random 0.5"]
    assert axes.lines[0].get_xdata() == pytest.approx([10, 20, 30])
    assert axes.lines[0].get_ydata() == pytest.approx([0.4, 0.6, 0.75])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(0.8)
    assert sorted(set(band[band[:, 0] == 30][:, 1])) == pytest.approx([0.7, 0.8])


def test_every_curve_is_named_at_its_end():
    axes = draw(RESULTS).axes[0]
    assert {text.get_text(): text.xy for text in axes.texts} == {
        "none": (30, pytest.approx(0.75)),
        "hard-batch 0.5": (30, pytest.approx(0.85)),
        "random 0.5": (30, pytest.approx(0.7)),
    }


def test_the_target_is_a_line():
    axes = draw(RESULTS, target_accuracy=0.95).axes[0]
    assert list(axes.lines[3].get_ydata()) == [0.95, 0.95]
    assert axes.get_ylim()[1] > 0.95
    assert "target" in [text.get_text() for text in axes.texts]


def test_differences_have_dots_and_whiskers():
    axes = draw(RESULTS).axes[1]
    # Both differ by 0.1 from the baseline: no width. Of -0.0 and -0.1 the half-width is 12.7062 * 0.05.
    assert whiskers(axes) == [(0.1, 0.0, True), (-0.05, 0.63531, False)]
    seeds = [
        points.get_offsets()[:, 0].tolist() for points in axes.collections if len(points.get_offsets()) > 1
    ]
    assert seeds == [pytest.approx([0.1, 0.1]), pytest.approx([0.0, -0.1])]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["hard-batch 0.5", "random 0.5"]
    assert axes.get_title(loc="left") == "Test accuracy against none"


def test_a_long_interval_does_not_hide_the_seeds():
    left, right = draw(RESULTS).axes[1].get_xlim()
    assert -0.5 < left < -0.4
    assert 0.4 < right < 0.5


def test_a_column_a_set_of_labels():
    worse = [replace(run, arm=replace(run.arm, labels=r"worse $\no$")) for run in RESULTS[:5]]
    figure = draw([*RESULTS, *worse])
    figure.draw_without_rendering()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "Validation accuracy",
        r"Validation accuracy · labels: worse $\no$",
        "Test accuracy against none",
        "Test accuracy against none",
    ]
    assert [text.get_text() for text in figure.axes[3].texts] == ["too few seeds in common"]
    assert figure.axes[2].get_xlim() == figure.axes[3].get_xlim()
    narrow = draw(RESULTS)
    assert figure.get_figwidth() == pytest.approx(2 * narrow.get_figwidth())


def test_without_a_baseline_each_arm_stands_by_itself():
    axes = draw(RESULTS, baseline=None).axes[1]
    assert [float(line.get_xdata()[0]) for line in axes.lines] == pytest.approx([0.75, 0.85, 0.7])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["none", "hard-batch 0.5", "random 0.5"]
    assert axes.get_title(loc="left") == "Test accuracy"


def test_the_baseline_alone_can_be_drawn():
    figure = draw([result(accuracies=(0.5,))])
    figure.draw_without_rendering()
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert figure.axes[1].containers == []


def test_no_two_arms_look_the_same():
    names = ["none", *(f"arm {number}" for number in range(20)), "none"]
    looks = arm_looks(names, "none")
    assert len({(look.colour, look.dashes) for look in looks.values()}) == len(looks) == 21
    assert [name for name, look in looks.items() if look.colour == BASELINE] == ["none"]
    assert looks["arm 0"] == arm_looks(["arm 0", "none"], "none")["arm 0"]


def test_seeds_evaluated_elsewhere_meet_between_their_points():
    early = replace(result(seed=0), curve=(point(10, 0.2), point(30, 0.6)))
    late = replace(result(seed=1), curve=(point(20, 0.5), point(40, 0.9)))
    curve = mean_curve([early, late])
    assert curve.updates == pytest.approx([20, 30])
    assert curve.mean == pytest.approx([0.45, 0.65])
    assert curve.low == pytest.approx([0.4, 0.6])
    assert curve.high == pytest.approx([0.5, 0.7])


def test_seeds_of_no_common_stretch_meet_at_the_mean_of_their_ends():
    """As with a budget of seconds that ends within the first epoch."""
    seeds = [
        replace(result(seed=seed), curve=(point(updates, 0.5 + seed / 4),))
        for seed, updates in ((0, 7), (1, 9))
    ]
    curve = mean_curve(seeds)
    assert (curve.updates.tolist(), curve.mean.tolist()) == ([8], [0.625])
    assert (curve.low.tolist(), curve.high.tolist()) == ([0.5], [0.75])
    draw(seeds).draw_without_rendering()


@pytest.mark.parametrize(
    ("heights", "placed"),
    [
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.52, 0.5, 0.9], [0.56, 0.46, 0.9]),
        ([0.99, 0.98], [1.0, 0.9]),
        ([0.0, 0.0, 0.0], [0.0, 0.1, 0.2]),
    ],
)
def test_names_keep_their_distance(heights, placed):
    assert spread_out(heights, 0.1) == pytest.approx(placed)


def test_many_names_share_the_height_there_is():
    placed = spread_out([0.5] * 20, 0.1)
    assert np.diff(placed) == pytest.approx([0.05] * 19)
    assert (placed.min(), placed.max()) == pytest.approx((0.0, 0.95), abs=0.05)


def test_nothing_global_is_changed():
    before = dict(rcParams)
    draw(RESULTS)
    assert dict(rcParams) == before
