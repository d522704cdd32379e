import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtest.figures.probe import Surface
from loadtest.report.circumstances import Circumstances
from loadtest.report.plot_surface import draw_surface
from loadtest.report.plot_sweep import draw_brown_out
from loadtest.report.sweep_page import write_sweep
from loadtest.report.sweep_words import cases_of, difficulty_text, goal_mark, in_order, invalid_text, lead
from tests.loadtest.report.made_probes import GOAL, probe, surface


def test_cases_stand_in_the_order_of_their_policies() -> None:
    assert [case.contender for case in cases_of(surface())] == ["first", "full"]
    assert [(p.case.contender, p.hard_share, p.rate) for p in in_order(surface())[:5]] == [
        ("first", 0.25, 100.0),
        ("first", 0.25, 400.0),
        ("first", 1.0, 100.0),
        ("first", 1.0, 400.0),
        ("full", 0.25, 100.0),
    ]


def test_the_lead_tells_up_to_which_rate_each_holds() -> None:
    assert lead(surface(), GOAL) == (
        "The goal, p99 within 50 ms and 99.0% of the rows kept, holds, with 25% of the rows hard: "
        "first over http up to 400/s, full over http up to 100/s. "
        "The goal, p99 within 50 ms and 99.0% of the rows kept, holds, with 100% of the rows hard: "
        "first over http up to 100/s, full over http at none."
    )


def test_a_probe_that_the_generator_may_have_spoilt_holds_nothing() -> None:
    spoilt = probe("first", 100.0, lag_p99_ms=7.0)
    assert goal_mark(spoilt) == "?"
    assert [goal_mark(probe("first", 100.0, kept=kept)) for kept in (1.0, 0.4)] == ["✓", "✗"]
    seen = Surface(rates=(100.0,), hard_shares=(None,), probes=(spoilt,))
    assert lead(seen, GOAL).endswith("holds: first over http at none.")


def test_a_rate_that_holds_above_one_that_fails_does_not_count() -> None:
    lucky = replace(
        surface(),
        hard_shares=(None,),
        probes=(probe("first", 100.0, p99_ms=99.0), probe("first", 400.0)),
    )
    assert lead(lucky, GOAL).endswith("holds: first over http at none.")


def test_probes_in_which_the_generator_lagged_are_told() -> None:
    assert invalid_text(surface()).startswith(
        "the generator did not keep up in 1 of 8 probes (*), the slowest at 400 requests/s"
    )
    assert invalid_text(replace(surface(), probes=surface().probes[:3])) == ""
    assert (difficulty_text(None), difficulty_text(0.25)) == ("as they come", "25%")


def test_brown_out_has_a_line_for_each_case() -> None:
    panels = {axes.get_title(loc="left"): axes for axes in draw_brown_out(surface(), 0.25, GOAL).axes}
    accuracy = panels["Accuracy, of all sent"]
    assert [line.get_label() for line in accuracy.lines] == ["first", "full"]
    assert [list(np.asarray(line.get_ydata())) for line in accuracy.lines] == [
        pytest.approx([0.9, 0.9]),
        pytest.approx([0.9, 0.45]),
    ]
    lost = panels["No answer (—), degraded (- -)"]
    assert [list(np.asarray(line.get_ydata())) for line in lost.lines] == [
        [0.0, 0.0],
        [0.05, 0.05],
        [0.0, 0.5],
        [0.05, 0.05],
    ]
    first, full, goal = panels["p99, ms (log)"].lines
    assert list(np.asarray(first.get_ydata())) == [20.0, 20.0]
    assert np.isnan(np.asarray(full.get_ydata())[1])
    assert list(np.asarray(goal.get_ydata())) == [50.0, 50.0]


def test_the_surface_names_each_cell() -> None:
    figure = draw_surface(surface(), GOAL)
    assert figure is not None
    texts = {axes.get_title(loc="left"): [t.get_text() for t in axes.texts] for axes in figure.axes}
    assert texts["first over http: p99, ms"] == ["20.0"] * 4
    assert texts["full over http: p99, ms"] == ["20.0", "∞", "80.0", "∞"]
    assert texts["full over http: rows kept"] == ["100%", "50%", "100%", "25%"]
    assert draw_surface(replace(surface(), hard_shares=(0.25,)), GOAL) is None


def test_a_sweep_is_written_for_people_and_for_programs(around: Circumstances, tmp_path: Path) -> None:
    write_sweep(tmp_path, surface(), GOAL, around)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["kind"], told["rates"], told["hard_shares"]) == ("sweep", [100.0, 400.0], [0.25, 1.0])
    assert len(told["probes"]) == 8
    last = told["probes"][-1]
    assert (last["contender"], last["rate"], last["under_load"]["shed"]) == ("full", 400.0, 0.75)
    assert last["load"]["latency"]["p99_ms"] is None
    with (tmp_path / "summary.csv").open(newline="") as file:
        assert [line["under_load_shed"] for line in csv.DictReader(file)][-1] == "0.75"
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "surface.png",
        "brown-out-hard-0.25.png",
        "brown-out-hard-1.png",
    }
    html = (tmp_path / "report.html").read_text()
    assert html.index("INVALID PROBES") < html.index('class="lead"')
