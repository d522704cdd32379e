"""A sweep on a terminal: of every case and difficulty, what became of it as the rate grew."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from loadtest.figures.probe import Goal, Probe, Surface
from loadtest.report.sweep_words import difficulty_text, goal_mark, in_order, invalid_text, lead
from loadtest.report.text_table import Column, TextTable
from loadtest.report.wording import exits, milliseconds, per_second, percent


def print_sweep(console: Console, surface: Surface, goal: Goal) -> None:
    console.print(Text(lead(surface, goal), style="bold"))
    has_shares = surface.hard_shares != (None,)
    probes = in_order(surface)
    for table in _layout(has_shares).fitting(console, probes):
        console.print(table)
    invalid = invalid_text(surface)
    if invalid:
        console.print(Text.assemble(("INVALID: ", "bold red"), invalid))


RATES: Sequence[Column[Probe]] = (("requests/s", lambda p: per_second(p.rate)),)
ANSWERS: Sequence[Column[Probe]] = (
    ("accuracy", lambda p: percent(p.under_load.accuracy.value)),
    ("of answered", lambda p: percent(p.under_load.answered_accuracy.value)),
    ("good", lambda p: percent(p.under_load.good)),
    ("kept", lambda p: percent(p.under_load.kept)),
)
LOAD: Sequence[Column[Probe]] = (
    ("p99 ms", lambda p: milliseconds(p.load.latency.p99_ms) + ("" if p.is_valid else "*")),
    ("degraded", lambda p: percent(p.under_load.degraded)),
    ("shed", lambda p: percent(p.under_load.shed)),
    ("failed", lambda p: percent(p.under_load.failed)),
    ("exits %", lambda p: exits(tuple(share.value for share in p.under_load.exit_shares))),
    ("goal", goal_mark),
)


def _layout(has_shares: bool) -> TextTable[Probe]:
    hard: tuple[Column[Probe], ...] = (("hard", lambda p: difficulty_text(p.hard_share)),)
    names: list[Column[Probe]] = [("contender", lambda p: p.case.contender), ("over", lambda p: p.case.over)]
    first = (*(hard if has_shares else ()), *RATES)
    return TextTable[Probe](
        names=names,
        layouts=(((*first, *ANSWERS, *LOAD),), ((*first, *ANSWERS), (*first, *LOAD))),
        group=lambda p: (p.case.name, p.hard_share),
    )
