"""A table with a line for anything that was measured of a case, as HTML."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TypeVar

from loadtest.case import Case
from loadtest.report.document import dot

T = TypeVar("T")


def line_table(
    lines: Sequence[T],
    case_of: Callable[[T], Case],
    columns: Sequence[tuple[str, Callable[[T], str]]],
    colours: Mapping[str, str],
) -> str:
    """Cells are texts; lines of one case stand together, apart from the next."""
    head = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
    rows, above = [], None
    for line in lines:
        case = case_of(line)
        begins = above is not None and above.name != case.name
        cells = "".join(f"<td>{escape(read(line))}</td>" for _, read in columns)
        rows.append(
            f'<tr class="{"begins" if begins else ""}">'
            f'<td class="text name">{dot(colours[case.contender])}{escape(case.contender)}</td>'
            f'<td class="text">{escape(case.over)}</td>{cells}</tr>'
        )
        above = case
    return (
        '<div class="scroll"><table><thead><tr><th class="text">contender</th><th class="text">over</th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
