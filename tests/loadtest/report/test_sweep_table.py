import io
from dataclasses import replace

import pytest
from rich.console import Console

from loadtest.figures.probe import Surface
from loadtest.report.sweep_table import print_sweep
from tests.loadtest.report.made_probes import GOAL, probe, surface


def printed(swept: Surface, width: int) -> list[str]:
    file = io.StringIO()
    print_sweep(Console(file=file, width=width, color_system=None), swept, GOAL)
    return file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "num_tables"), [(160, 1), (100, 2)])
def test_each_probe_has_a_line(width: int, num_tables: int) -> None:
    lines = printed(surface(), width)
    assert sum(line.split()[:3] == ["contender", "over", "hard"] for line in lines) == num_tables
    assert max(map(len, lines)) <= width
    full = [" ".join(line.split()) for line in lines if line.strip().startswith("full  ")]
    assert len(full) == 4 * num_tables
    assert full[1].startswith("full http 25% 400 45.0% 90.0% 45.0% 50.0%")
    assert full[-1].endswith("no answer 5.0% 75.0% 0.0% 80.0 / 20.0 ✗")
    assert lines[-1].startswith("INVALID: ") or "INVALID: " in "\n".join(lines)


def test_a_sweep_without_difficulties_tells_none() -> None:
    swept = replace(surface(), hard_shares=(None,), probes=(probe("first", 100.0), probe("first", 400.0)))
    lines = printed(swept, 160)
    assert not any("hard" in line for line in lines)
    assert not any("INVALID" in line for line in lines)
