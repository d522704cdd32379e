"""What a search found, on a terminal."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from loadtest.figures.probe import Found, Goal, Probe
from loadtest.report.search_words import at_found, failed_text, lead, rate_text, warnings
from loadtest.report.text_table import Column, TextTable
from loadtest.report.wording import NONE, exits, milliseconds, percent


def print_search(console: Console, found: Sequence[Found], goal: Goal) -> None:
    console.print(Text(lead(found, goal), style="bold"))
    for table in SEARCH.fitting(console, found):
        console.print(table)
    for text in warnings(found):
        console.print(Text(text, style="yellow"))


def _of_probe(read: Callable[[Probe], str]) -> Callable[[Found], str]:
    """A figure at the rate that was found."""

    def cell(found: Found) -> str:
        probe = at_found(found)
        return NONE if probe is None else read(probe)

    return cell


RATES: tuple[Column[Found], ...] = (
    ("holds at, req/s", rate_text),
    ("fails at", failed_text),
    ("probes", lambda f: str(len(f.probes))),
)
FIGURES: tuple[Column[Found], ...] = (
    ("requests", _of_probe(lambda p: f"{p.load.num_requests:,}")),
    ("p50 ms", _of_probe(lambda p: milliseconds(p.load.latency.p50_ms))),
    ("p99 ms", _of_probe(lambda p: milliseconds(p.load.latency.p99_ms))),
    ("kept", _of_probe(lambda p: percent(p.under_load.kept))),
    ("exits %", _of_probe(lambda p: exits(tuple(share.value for share in p.under_load.exit_shares)))),
)
SEARCH = TextTable[Found](
    names=(("contender", lambda f: f.case.contender), ("over", lambda f: f.case.over)),
    layouts=(((*RATES, *FIGURES),), (RATES, FIGURES)),
    group=lambda f: f.case.contender,
)
