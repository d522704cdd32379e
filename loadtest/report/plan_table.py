"""A plan on a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtest.report.plan_words import check_cells, headline, member_cells, model_words, warning
from loadtest.studies.planning import Planned

MEMBER_COLUMNS = ("member", "reached by", "ms/batch + ms/row", "replicas", "load", "full: replicas", "load")
CHECK_COLUMNS = ("requests/s", "figure", "predicted", "measured", "error")


def print_plan(console: Console, planned: Planned) -> None:
    console.print(Text(headline(planned), style="bold"))
    console.print(_table(MEMBER_COLUMNS, member_cells(planned)))
    console.print(Text(model_words(planned), style="dim"))
    if planned.checks:
        console.print(_table(CHECK_COLUMNS, check_cells(planned)))
    if warning(planned):
        console.print(Text.assemble(("INVALID: ", "bold red"), warning(planned)))


def _table(columns: tuple[str, ...], lines: list[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(columns):
        table.add_column(heading, justify="left" if index == 0 else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    return table
