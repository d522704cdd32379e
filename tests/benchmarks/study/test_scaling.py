"""Costs, and comparisons at equal cost."""

import math

import numpy as np
import pytest

from benchmarks.study.contenders import SINGLE, WINDOW, Contender
from benchmarks.study.scaling import Judged, _at_equal_cost, _between


def judged(model: str, contender: Contender, macs: float, reach: list[list[float]], value: float) -> Judged:
    seeds = len(reach)
    return Judged(
        model=model,
        contender=contender,
        stage_models=(model,) * len(reach[0]),
        stage_macs=(macs,) * len(reach[0]),
        reach=np.array(reach),
        values={"coverage@5%risk": np.full((seeds, 4), value)},
    )


def test_a_row_costs_the_stages_that_it_reaches() -> None:
    window = judged("small", WINDOW, 10.0, [[1.0, 0.1], [1.0, 0.3]], 0.5)
    assert window.cost() == pytest.approx(12.0)
    assert window.cost({"small": 0.5}) == pytest.approx(0.6)


def test_costs_lie_between_neighbours_by_their_logarithm() -> None:
    assert _between([1.0, 4.0, 16.0], 2.0) == (0, pytest.approx(0.5))
    assert _between([1.0, 4.0, 16.0], 8.0) == (1, pytest.approx(0.5))
    assert _between([1.0, 4.0, 16.0], 17.0) is None
    assert _between([1.0, 4.0, 16.0], 0.5) is None


def test_a_contender_is_compared_with_the_line_through_the_singles() -> None:
    one = [[1.0], [1.0]]
    family = [judged("small", SINGLE, 1.0, one, 0.4), judged("large", SINGLE, 4.0, one, 0.6)]
    window = judged("small", WINDOW, 1.0, [[1.0, 0.5], [1.0, 0.5]], 0.55)
    dear = judged("large", WINDOW, 4.0, [[1.0, 0.5], [1.0, 0.5]], 0.65)
    found = list(_at_equal_cost([*family, window, dear], {"small": 2.0, "large": 3.0}))
    by_unit = {each["unit"]: each["figures"]["coverage@5%risk"]["value"] for each in found}
    assert len(found) == 2
    assert by_unit["macs"] == pytest.approx(0.55 - (0.4 + 0.2 * math.log(1.5) / math.log(4)))
    # In CPU time the small one's window costs as much as the large single.
    assert by_unit["cpu_ms"] == pytest.approx(0.55 - 0.6)
