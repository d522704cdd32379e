import io
from pathlib import Path

from rich.console import Console

from loadtest.figures.results import Results
from loadtest.report.notes import Level, Note
from loadtest.report.table import print_results
from tests.loadtest.tiny_campaign import results_of
from tests.loadtest.tiny_server import TinyServer


def test_the_table_is_divided_rather_than_cut(server: TinyServer, tmp_path: Path) -> None:
    results = results_of(server, tmp_path, "--policies", "window,full")
    for width, num_tables in ((160, 1), (120, 2), (80, 3)):
        lines = printed(results, width)
        headings = [line for line in lines if line.strip().startswith("policy")]
        assert len(headings) == num_tables
        assert not any("…" in line for line in lines)
        assert max(len(line) for line in lines) <= width
        for heading in ("accuracy", "coverage", "risk", "exits %", "cost", "rows/s", "p99 ms", "errors"):
            assert " ".join(headings).count(heading) == 1
        window = " ".join(line for line in lines if line.strip().startswith("window"))
        for cell in ("90.0% [", "80.0 / 20.0", "1.60×"):
            assert cell in window
        assert "! mind the gap" in lines


def printed(results: Results, width: int) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None)
    print_results(console, results, [Note(Level.WARNING, "mind the gap")])
    return file.getvalue().splitlines()
