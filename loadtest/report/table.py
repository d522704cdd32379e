"""The figures on a terminal: one table, or two where one does not fit."""

from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from loadtest.figures.results import CaseResult, Results
from loadtest.report.circumstances import load_in_words
from loadtest.report.notes import Level, Note
from loadtest.report.wording import capacity, count, estimate, exits, milliseconds, multiple, tail

Column = tuple[str, Callable[[CaseResult], str]]

CASE: tuple[Column, ...] = (("policy", lambda c: c.policy), ("over", lambda c: c.protocol))
QUALITY: tuple[Column, ...] = (
    ("accuracy", lambda c: estimate(c.quality.accuracy)),
    ("coverage", lambda c: estimate(c.quality.coverage)),
    ("risk", lambda c: estimate(c.quality.risk)),
)
COST: tuple[Column, ...] = (
    ("exits %", lambda c: exits(c.quality.exits)),
    ("MACs/row", lambda c: count(c.quality.cost_macs)),
    ("cost", lambda c: multiple(c.quality.cost)),
)
SPEED: tuple[Column, ...] = (
    ("rows/s", capacity),
    ("p50 ms", lambda c: milliseconds(c.load.latency.p50_ms)),
    ("p99 ms", tail),
    ("errors", lambda c: count(c.load.num_errors)),
)
LAYOUTS: tuple[tuple[tuple[Column, ...], ...], ...] = (
    ((*QUALITY, *COST, *SPEED),),
    ((*QUALITY, *COST), SPEED),
    (QUALITY, (*COST, *SPEED)),
    (QUALITY, COST, SPEED),
)
MARKS = {Level.PASSED: ("✓", "green"), Level.FIGURE: ("·", "dim"), Level.WARNING: ("!", "yellow")}
PIPED_WIDTH = 160
UNBOUNDED = 10_000
LEGEND = (
    "accuracy of all rows, risk of the accepted, [95% interval]; cost in multiples of stage 1; rows/s at "
    "saturation; latency from the intended send at the offered rate, failures ranking last; "
    "* generator-limited"
)


def print_results(console: Console, results: Results, notes: Sequence[Note]) -> None:
    title = f"{results.campaign.cascade.name}: {load_in_words(results.campaign.config.load)}"
    console.print(Text(title, style="bold"))
    for table in _tables(console, results):
        console.print(table)
    console.print(Text(LEGEND, style="dim"))
    for note in notes:
        mark, style = MARKS[note.level]
        console.print(Text.assemble((f"{mark} ", style), note.text))


def results_console() -> Console:
    """As wide as the terminal; away from one, wide enough for one table of a few stages."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    return console


def _tables(console: Console, results: Results) -> list[Table]:
    """As few tables as fit the width."""
    for layout in LAYOUTS:
        tables = [_table(results.cases, (*CASE, *columns)) for columns in layout]
        if all(_width(console, table) <= console.width for table in tables):
            break
    return tables


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update_width(UNBOUNDED), table).maximum


def _table(cases: Sequence[CaseResult], columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, (heading, _) in enumerate(columns):
        table.add_column(heading, justify="left" if index < len(CASE) else "right", no_wrap=True)
    for case, following in zip(cases, (*cases[1:], None), strict=True):
        is_last = following is None or following.policy != case.policy
        table.add_row(*(cell(case) for _, cell in columns), end_section=is_last and following is not None)
    return table
