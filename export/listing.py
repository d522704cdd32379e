"""What a repository holds, in short."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from cascade.cascade_file import Cascade, Member, read_cascade
from cascade.inside import inside
from export.repository import cascade_files


def listing(folder: Path) -> Iterator[Table]:
    """A table a cascade. RepositoryError where there is none, FormatError where one cannot be read."""
    for file in cascade_files(folder):
        yield _table(folder, read_cascade(file))


def _table(folder: Path, cascade: Cascade) -> Table:
    title = f"{cascade.name}, version {cascade.version}: {len(cascade.classes)} classes, policies "
    title += ", ".join(f"{name}*" if name == cascade.default_policy else name for name in cascade.policies)
    table = Table(title=title, title_justify="left")
    for column in (
        "stage",
        "member",
        "version",
        "format",
        "precision",
        "MACs a row",
        "ms a row",
        "size",
        "sha256",
    ):
        table.add_column(column, justify="right" if column in ("MACs a row", "ms a row", "size") else "left")
    for number, stage in enumerate(cascade.stages, 1):
        for name in stage:
            table.add_row(*_row(folder, number, cascade.member(name), cascade))
    return table


def _row(folder: Path, stage: int, member: Member, cascade: Cascade) -> tuple[str, ...]:
    path = inside(folder, member.file)
    size = f"{path.stat().st_size / 2**10:,.0f} KiB" if path.is_file() else "missing"
    parts = (str(stage), member.name, str(member.version), member.format, member.precision)
    return (*parts, f"{member.macs:,.0f}", _milliseconds(member, cascade), size, member.sha256[:12])


def _milliseconds(member: Member, cascade: Cascade) -> str:
    """In batches of the size that was found best, on one worker."""
    if member.service_curve is None or cascade.runtime is None:
        return "-"
    rows = cascade.runtime.max_batch_rows
    return f"{member.service_curve.seconds(rows) / rows * 1000:.3f}"
