import csv
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D

from loadtest.report.circumstances import Circumstances
from loadtest.report.plot_search import draw_search
from loadtest.report.plot_style import contender_colours
from loadtest.report.search_page import write_search
from loadtest.report.search_words import at_found, failed_text, lead, rate_text, warnings
from tests.loadtest.report.made_probes import GOAL, found, probe, searched


def test_the_fastest_is_told_beside_the_slowest() -> None:
    assert lead(searched(), GOAL) == (
        "first over http holds up to 200* requests/s; to hold is p99 within 50 ms and 99.0% of the rows kept."
    )
    assert failed_text(searched()[0]) == "400*"
    sure = [
        found("first", 200.0, 400.0, probe("first", 200.0), probe("first", 400.0, kept=0.4)),
        searched()[1],
    ]
    assert failed_text(sure[0]) == "400"
    assert lead(sure, GOAL).startswith(
        "first over http holds up to 200 requests/s, 2.00× the 100 requests/s of full over http; to hold is"
    )
    nothing = [found("first", None, 1.0, probe("first", 1.0, p99_ms=99.0))]
    assert lead(nothing, GOAL) == (
        "No rate was found at which p99 within 50 ms and 99.0% of the rows kept holds."
    )


def test_rates_are_marked_where_the_search_could_not_go_on() -> None:
    first, full = searched()
    unlimited = found("full", 400.0, None, probe("full", 400.0))
    none = found("full", None, 1.0, probe("full", 1.0, kept=0.0))
    assert [rate_text(each) for each in (first, full, unlimited, none)] == ["200*", "100", "400+", "none"]
    assert [text[0] for text in warnings([first, full, unlimited])] == ["*", "+"]
    assert ": first over http; more" in warnings([first, full])[0]
    assert warnings([full, none]) == []


def test_figures_are_those_of_the_last_run_that_confirmed_the_rate() -> None:
    first, _ = searched()
    at = at_found(first)
    assert at is not None
    assert (at.phase, at.load.latency.p99_ms) == ("confirmation", 33.0)


def rates(line: Line2D) -> list[float]:
    return list(np.asarray(line.get_xdata(), np.float64))


def test_probes_are_drawn_by_what_came_of_them() -> None:
    latency, kept = draw_search(searched(), GOAL).axes
    grey, pink = contender_colours(["first", "full"]).values()
    drawn = [line for line in latency.lines if rates(line)]
    points = {
        (line.get_color(), line.get_marker(), line.get_markerfacecolor()): rates(line) for line in drawn
    }
    assert sorted(points[grey, "o", grey]) == [100.0, 200.0, 200.0]
    assert points[grey, "x", grey] == [400.0]
    assert points[pink, "o", pink] == [100.0]
    (missed,) = [line for line in kept.lines if line.get_markerfacecolor() == "white" and rates(line)]
    assert (rates(missed), np.asarray(missed.get_ydata()).tolist()) == ([200.0], [0.4])
    assert [rates(line)[0] for line in drawn if line.get_linewidth() == 1.8] == [200.0, 100.0]


def test_a_search_is_written_for_people_and_for_programs(around: Circumstances, tmp_path: Path) -> None:
    write_search(tmp_path, searched(), GOAL, around)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["format_version"], told["kind"], told["goal"]["share"]) == (2, "search", 0.99)
    first, full = told["found"]
    assert (first["contender"], first["rate"], first["failed_rate"]) == ("first", 200.0, 400.0)
    assert (first["is_generator_limited"], full["is_generator_limited"]) == (True, False)
    assert full["probes"][1]["load"]["latency"]["p99_ms"] is None
    assert full["probes"][1]["missed"] == "p99 is inf ms"
    with (tmp_path / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["contender"], float(line["rate"])) for line in lines] == [
        ("first", 100.0),
        ("first", 200.0),
        ("first", 400.0),
        ("first", 200.0),
        ("full", 100.0),
        ("full", 200.0),
    ]
    assert float(lines[5]["under_load_kept"]) == pytest.approx(0.4)
    html = (tmp_path / "report.html").read_text()
    assert "<td>200*</td><td>400</td><td>2.00</td><td>33.0</td><td>100.0%</td>" in html
    assert "! the generator lagged" in html
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
