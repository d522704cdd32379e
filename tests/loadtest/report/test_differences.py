import math
from dataclasses import replace

import pytest

from cascade.intervals import Estimate
from loadtest.figures.results import Results
from loadtest.report.differences import CAPACITY, UNDER_LOAD, WITHOUT_LOAD, differences_table, is_told_apart

ACCURACY, _, RISK = WITHOUT_LOAD
_, P50, _ = UNDER_LOAD


@pytest.mark.parametrize(
    ("share", "apart"),
    [
        (Estimate(-0.02, -0.03, -0.01), True),
        (Estimate(0.02, -0.01, 0.03), False),
        (Estimate(0.02, 0.0, 0.03), False),
        (Estimate(0.5, math.nan, math.nan), False),
    ],
)
def test_a_difference_is_one_where_its_interval_leaves_nought_out(share: Estimate, apart: bool) -> None:
    assert is_told_apart(ACCURACY, share) is apart


def test_ratios_are_told_apart_from_one() -> None:
    assert is_told_apart(P50, Estimate(0.5, 0.4, 0.9))
    assert not is_told_apart(CAPACITY, Estimate(1.2, 0.9, 1.5))


def test_the_better_and_the_worse_are_marked_and_the_rest_is_not(results: Results) -> None:
    case = results.of("window")
    assert case.difference is not None
    difference = replace(
        case.difference,
        accuracy=Estimate(-0.023, -0.03, -0.01),
        risk=Estimate(-0.02, -0.03, -0.01),
        coverage=Estimate(0.001, -0.01, 0.02),
        cost=-2.4,
        p50=Estimate(0.5, 0.4, 0.6),
    )
    table = differences_table(replace(results, cases=(replace(case, difference=difference),)))
    assert '<td class="edge worse">▼ −2.3<span class="interval">−3.0 to −1.0</span></td>' in table
    assert '<td class="better">▼ −2.0<span class="interval">−3.0 to −1.0</span></td>' in table
    assert '<td class="same">+0.1<span class="interval">−1.0 to +2.0</span></td>' in table
    assert '<td class="better">▼ 0.50×<span class="interval">0.40 to 0.60</span></td>' in table
    assert '<td class="">−2.40</td>' in table
