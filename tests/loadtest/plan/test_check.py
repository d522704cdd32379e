import math

import numpy as np
import pytest

from loadtest.plan.arrivals import given_arrivals
from loadtest.plan.check import Figures, compare, predicted_figures
from loadtest.plan.simulation import simulate
from tests.loadtest.plan.cascades import one_member

PREDICTED = Figures(p50_ms=3.0, p90_ms=5.0, p99_ms=8.0, rows_per_s=200.0, member_ms_per_row=0.5)


def test_errors_are_relative_to_what_was_measured() -> None:
    lines = compare(PREDICTED, Figures(p50_ms=4.0, p90_ms=5.0, p99_ms=10.0, rows_per_s=160.0))
    assert [(line.figure, line.error) for line in lines] == [
        ("p50_ms", pytest.approx(-0.25)),
        ("p90_ms", 0.0),
        ("p99_ms", pytest.approx(-0.2)),
        ("rows_per_s", pytest.approx(0.25)),
    ]
    assert (lines[0].predicted, lines[0].measured) == (3.0, 4.0)


def test_a_percentile_that_no_answer_reached_has_no_error() -> None:
    lines = compare(PREDICTED, Figures(p99_ms=math.inf, member_ms_per_row=0.0))
    assert all(math.isnan(line.error) for line in lines) and len(lines) == 2


def test_the_predicted_figures_are_those_of_the_simulation() -> None:
    figures = predicted_figures(simulate(one_member(), given_arrivals(np.array([0.0, 1.0, 1.5, 1.999]), 2)))
    assert [figures.p50_ms, figures.p90_ms, figures.p99_ms] == pytest.approx([2.0] * 3)
    assert figures.rows_per_s == pytest.approx(8 / 2.001)
    assert figures.member_ms_per_row == pytest.approx(1.0)
