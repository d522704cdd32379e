"""The figures on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from loadtest.figures.assertions import Verdict
from loadtest.figures.results import CaseResult, Results
from loadtest.report.headline import title
from loadtest.report.notes import Level, notes
from loadtest.report.text_table import Column, TextTable
from loadtest.report.traffic_words import load_in_words
from loadtest.report.validity import explanation, remedies
from loadtest.report.verdict_lines import FAILED, HOLDS, verdict_line
from loadtest.report.wording import (
    NONE,
    capacity,
    count,
    estimate,
    exits,
    milliseconds,
    multiple,
    percent,
    tail,
)

CASE: tuple[Column[CaseResult], ...] = (("contender", lambda c: c.contender), ("over", lambda c: c.over))
QUALITY: tuple[Column[CaseResult], ...] = (
    ("accuracy", lambda c: estimate(c.quality.accuracy)),
    ("coverage", lambda c: estimate(c.quality.coverage)),
    ("risk", lambda c: estimate(c.quality.risk)),
)
COST: tuple[Column[CaseResult], ...] = (
    ("exits %", lambda c: exits(c.quality.exits)),
    ("MACs/row", lambda c: NONE if c.quality.cost_macs is None else count(c.quality.cost_macs)),
    ("cost", lambda c: multiple(c.quality.cost)),
)
SPEED: tuple[Column[CaseResult], ...] = (
    ("rows/s", capacity),
    ("p50 ms", lambda c: milliseconds(c.load.latency.p50_ms)),
    ("p99 ms", tail),
    ("good", lambda c: percent(c.under_load.good)),
    ("errors", lambda c: count(c.load.num_errors)),
)
CASES = TextTable(
    names=CASE,
    layouts=(
        ((*QUALITY, *COST, *SPEED),),
        ((*QUALITY, *COST), SPEED),
        (QUALITY, (*COST, *SPEED)),
        (QUALITY, COST, SPEED),
        (QUALITY[:2], (*QUALITY[2:], *COST[:2]), (*COST[2:], *SPEED)),
        (QUALITY[:1], QUALITY[1:2], QUALITY[2:], COST, SPEED),
    ),
    group=lambda case: case.contender,
)
MARKS = {Level.PASSED: ("✓", "green"), Level.FIGURE: ("·", "dim"), Level.WARNING: ("!", "yellow")}
PIPED_WIDTH = 160
LEGEND = (
    "accuracy of all rows, risk of the accepted, [95% interval]; cost in multiples of stage 1; rows/s at "
    "saturation; latency from the intended send at the offered rate, failures ranking last; good: right, in "
    "time and not degraded; * generator-limited"
)


def print_results(console: Console, results: Results, verdicts: Sequence[Verdict]) -> None:
    console.print(Text(f"{title(results)}; {load_in_words(results.campaign.config.load)}", style="bold"))
    for table in CASES.fitting(console, results.cases):
        console.print(table)
    console.print(Text(LEGEND, style="dim"))
    for note in notes(results):
        mark, style = MARKS[note.level]
        console.print(Text.assemble((f"{mark} ", style), note.text))
    _print_validity(console, results)
    for verdict in verdicts:
        mark, style = (HOLDS, "green") if verdict.holds else (FAILED, "bold red")
        console.print(Text.assemble((f"{mark} ", style), verdict_line(verdict)))


def _print_validity(console: Console, results: Results) -> None:
    why = explanation(results)
    if why:
        text = f"{why}. What helps: {'; '.join(remedies(results))}."
        console.print(Text.assemble(("INVALID RUN: ", "bold red"), text))


def results_console() -> Console:
    """As wide as the terminal; away from one, wide enough for one table of a few stages."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    return console
