"""A table with a line for each case and its columns in groups, as HTML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from loadtest.figures.results import CaseResult, Results
from loadtest.report.document import dot
from loadtest.report.plot_style import contender_colours


@dataclass(frozen=True)
class Cell:
    """`html` is escaped; `kind` is a class of the style sheet."""

    html: str
    kind: str = ""


Read = Callable[[CaseResult], Cell | str]


@dataclass(frozen=True)
class Group:
    """Columns under one heading."""

    title: str
    columns: tuple[tuple[str, Read], ...]


def case_table(
    results: Results, groups: Sequence[Group], *, baseline: str | None = None, is_merged: bool = False
) -> str:
    """The line of the `baseline` is shaded. `is_merged`: one line for a contender that answered alike over
    whatever it was driven."""
    colours = contender_colours(results.campaign.contenders)
    lines, above = [], ""
    for case, over in _merged(results) if is_merged else [(case, case.over) for case in results.cases]:
        kinds = {"begins": above not in ("", case.contender), "baseline": case.contender == baseline}
        cells = [_cell(group, number, case) for group in groups for number in range(len(group.columns))]
        lines.append(
            f'<tr class="{" ".join(kind for kind, holds in kinds.items() if holds)}">'
            f'<td class="text name">{dot(colours[case.contender])}{escape(case.contender)}</td>'
            f'<td class="text">{escape(over)}</td>{"".join(cells)}</tr>'
        )
        above = case.contender
    return f'<div class="scroll"><table>{_head(groups)}<tbody>{"".join(lines)}</tbody></table></div>'


def _merged(results: Results) -> list[tuple[CaseResult, str]]:
    """Cases, each with the names of those that it stands for."""
    lines = []
    for contender in results.campaign.contenders:
        cases = [case for case in results.cases if case.contender == contender]
        if results.disagreements is not None and results.disagreements[contender]:
            lines += [(case, case.over) for case in cases]
        else:
            lines.append((cases[0], ", ".join(case.over for case in cases)))
    return lines


def _cell(group: Group, number: int, case: CaseResult) -> str:
    read = group.columns[number][1](case)
    cell = Cell(read) if isinstance(read, str) else read
    kind = " ".join(name for name in ("" if number else "edge", cell.kind) if name)
    return f'<td class="{kind}">{cell.html}</td>'


def _head(groups: Sequence[Group]) -> str:
    above = "".join(
        f'<th class="group{" edge" if len(group.columns) > 1 else ""}" colspan="{len(group.columns)}">'
        f"{escape(group.title)}</th>"
        for group in groups
    )
    names = "".join(
        f'<th class="{"" if number else "edge"}">{escape(name)}</th>'
        for group in groups
        for number, (name, _) in enumerate(group.columns)
    )
    return (
        f'<thead><tr><td colspan="2"></td>{above}</tr>'
        f'<tr><th class="text">contender</th><th class="text">over</th>{names}</tr></thead>'
    )
