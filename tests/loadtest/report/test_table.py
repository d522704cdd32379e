import io

import pytest
from rich.console import Console

from loadtest.figures.assertions import judged, parse_assertion
from loadtest.figures.results import Results
from loadtest.report.table import print_results


@pytest.mark.parametrize(("width", "num_tables"), [(160, 1), (140, 2), (120, 2), (80, 3)])
def test_the_table_is_divided_rather_than_cut(results: Results, width: int, num_tables: int) -> None:
    lines = printed(results, width)
    headings = [line for line in lines if line.split()[:2] == ["contender", "over"]]
    assert len(headings) == num_tables
    assert not any("…" in line for line in lines)
    assert max(len(line) for line in lines) <= width
    names = ("accuracy", "coverage", "risk", "exits %", "cost", "rows/s", "p99 ms", "good", "errors")
    assert all(" ".join(headings).count(name) == 1 for name in names)
    window = " ".join(line for line in lines if line.strip().startswith("window"))
    for cell in ("90.0% [", "80.0 / 20.0", "1.60×"):
        assert cell in window


def test_assertions_are_told_with_what_was_seen(results: Results) -> None:
    lines = printed(results, 160, "accuracy>0.8", "window:cost<1.5")
    assert lines[-2].startswith("✓ accuracy>0.8: first over http 0.9, ")
    assert lines[-1] == "✗ window:cost<1.5: window over http 1.6, window over grpc 1.6"


def test_an_invalid_run_is_told_with_what_helps(results: Results, invalid: Results) -> None:
    (line,) = [line for line in printed(invalid, 1000) if line.startswith("INVALID RUN: ")]
    assert "did not keep up in 6 of 6 cases" in line
    assert "p99 of its lag up to 5.00 ms (first over http), CPU up to 95% (first over http)" in line
    assert "What helps: --processes 2 (now 1); a lower --rate; " in line
    assert not any("INVALID" in line for line in printed(results, 1000))


def printed(results: Results, width: int, *assertions: str) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None)
    print_results(console, results, judged([*map(parse_assertion, assertions)], results))
    return file.getvalue().splitlines()
