"""Costs, the front of models worth them, and comparisons at equal cost."""

import math

import numpy as np
import pytest

from benchmarks.study.contenders import FULL, SINGLE, WINDOW, Contender
from benchmarks.study.figures import COSTS, COVERAGE_AT_RISK
from benchmarks.study.scaling import Judged, _at_equal_cost, _difference, _kept, between, front, next_larger

ONE = [[1.0], [1.0]]
HALF = [[1.0, 0.5], [1.0, 0.5]]
BOTH = [[1.0, 1.0], [1.0, 1.0]]


def judged(model: str, contender: Contender, reach: list[list[float]], value: float) -> Judged:
    return Judged(
        model=model,
        contender=contender,
        stage_models=(model,) * len(reach[0]),
        reach={kind: np.array(reach) for kind in COSTS},
        values={COVERAGE_AT_RISK: np.full((len(reach), 4), value)},
    )


def by_key(*found: Judged) -> dict[tuple[str, str], Judged]:
    return {each.key: each for each in found}


def test_a_row_costs_the_stages_that_it_reaches() -> None:
    window = judged("small", WINDOW, [[1.0, 0.1], [1.0, 0.3]], 0.5)
    assert window.cost({"small": 10.0}) == pytest.approx(12.0)
    assert window.cost({"small": 0.5}) == pytest.approx(0.6)


def test_the_front_leaves_out_what_is_dearer_and_no_better() -> None:
    costs = {"large": 9.0, "odd": 4.0, "small": 1.0, "middle": 3.0}
    accuracy = {"small": 0.7, "middle": 0.8, "odd": 0.79, "large": 0.85}
    on_front = front(costs, accuracy)
    assert on_front == ["small", "middle", "large"]
    assert next_larger(costs, on_front) == {"small": "middle", "middle": "large", "odd": "large"}


def test_costs_lie_between_neighbours_by_their_logarithm() -> None:
    assert between([1.0, 4.0, 16.0], 2.0) == (0, pytest.approx(0.5))
    assert between([1.0, 4.0, 16.0], 8.0) == (1, pytest.approx(0.5))
    assert between([1.0, 4.0, 16.0], 17.0) is None
    assert between([1.0, 4.0, 16.0], 0.5) is None


def test_a_contender_is_compared_with_the_line_through_the_singles() -> None:
    window, dear = judged("small", WINDOW, HALF, 0.55), judged("large", WINDOW, HALF, 0.65)
    found = by_key(judged("small", SINGLE, ONE, 0.4), judged("large", SINGLE, ONE, 0.6), window, dear)
    macs, cpu_ms = {"small": 1.0, "large": 4.0}, {"small": 2.0, "large": 3.0}
    on_front = ["small", "large"]
    by_macs = _at_equal_cost(window, found, on_front, macs, "macs")["figures"][COVERAGE_AT_RISK]
    assert by_macs["value"] == pytest.approx(0.55 - (0.4 + 0.2 * math.log(1.5) / math.log(4)))
    # In CPU time the small one's window costs as much as the large single.
    by_cpu = _at_equal_cost(window, found, on_front, cpu_ms, "cpu_ms")["figures"][COVERAGE_AT_RISK]
    assert by_cpu["value"] == pytest.approx(0.55 - 0.6)
    assert _at_equal_cost(dear, found, on_front, macs, "macs")["figures"][COVERAGE_AT_RISK] is None


def test_across_models_the_seeds_of_both_count() -> None:
    """Cascades in rotation that happen to agree are no surer than single members are."""
    small, large = judged("small", SINGLE, ONE, 0.4), judged("large", SINGLE, ONE, 0.6)
    small.values[COVERAGE_AT_RISK][:] = [[0.38] * 4, [0.42] * 4]
    window = judged("small", WINDOW, HALF, 0.5)
    found = by_key(small, large, window)
    units = {"macs": {"small": 1.0, "large": 4.0}, "cpu_ms": {"small": 1.0, "large": 4.0}}
    across = _difference(window, large, found, units)
    within = _difference(window, window, found, units)
    figure = across["figures"][COVERAGE_AT_RISK]
    # A variance of 0.0008 over two seeds, and Student's t of one degree of freedom.
    assert figure["high"] - figure["value"] == pytest.approx(12.706 * 0.02, rel=1e-3)
    assert across["macs_ratio"] == pytest.approx(1.5 / 4)
    assert within["figures"][COVERAGE_AT_RISK]["high"] == pytest.approx(0.0)


def test_the_share_kept_is_of_the_models_that_gain() -> None:
    found = by_key(
        *(judged("small", *each) for each in ((SINGLE, ONE, 0.4), (FULL, BOTH, 0.5), (WINDOW, HALF, 0.48))),
        *(judged("large", *each) for each in ((SINGLE, ONE, 0.6), (FULL, BOTH, 0.6), (WINDOW, HALF, 0.59))),
    )
    kept = _kept(found, ("small", "large"), COVERAGE_AT_RISK)
    assert kept is not None
    assert kept["value"] == pytest.approx(0.8)
    assert kept["models"] == {"small": pytest.approx(0.8)}
    assert _kept(found, ("large",), COVERAGE_AT_RISK) is None
