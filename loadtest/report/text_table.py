"""Tables on a terminal: as few as fit its width, each with the same first columns. Pure."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

T = TypeVar("T")
Column = tuple[str, Callable[[T], str]]
UNBOUNDED = 10_000


@dataclass(frozen=True, kw_only=True)
class TextTable(Generic[T]):
    """`names` are the first columns, of text; `layouts` are ways to share the others out among tables, the
    preferred first. Lines with the same `group` stand together."""

    names: Sequence[Column[T]]
    layouts: Sequence[Sequence[Sequence[Column[T]]]]
    group: Callable[[T], Hashable]

    def fitting(self, console: Console, lines: Sequence[T]) -> list[Table]:
        """The last layout where none fits."""
        for layout in self.layouts:
            tables = [self._table(lines, [*self.names, *columns]) for columns in layout]
            if all(_width(console, table) <= console.width for table in tables):
                break
        return tables

    def _table(self, lines: Sequence[T], columns: Sequence[Column[T]]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for index, (heading, _) in enumerate(columns):
            is_text = index < len(self.names)
            table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
        for line, following in zip(lines, (*lines[1:], None), strict=True):
            ends = following is not None and self.group(following) != self.group(line)
            table.add_row(*(cell(line) for _, cell in columns), end_section=ends)
        return table


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update_width(UNBOUNDED), table).maximum
