import io

import pytest
from rich.console import Console

from loadtest.report.search_table import print_search
from tests.loadtest.report.made_probes import GOAL, searched


@pytest.mark.parametrize(("width", "num_tables"), [(110, 1), (80, 2)])
def test_each_contender_has_a_line(width: int, num_tables: int) -> None:
    file = io.StringIO()
    print_search(Console(file=file, width=width, color_system=None), searched(), GOAL)
    lines = file.getvalue().splitlines()
    assert sum(line.split()[:2] == ["contender", "over"] for line in lines) == num_tables
    assert max(map(len, lines)) <= width
    first = " ".join(" ".join(line.split()) for line in lines if line.strip().startswith("first  "))
    assert "200* 400* 4" in first
    assert "2.00 33.0 100.0% 80.0 / 20.0" in first
