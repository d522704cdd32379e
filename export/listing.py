"""What a repository holds, in short."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from cascade.cascade_file import Cascade, Member, read_cascade
from cascade.inside import inside
from export.repository import CONFIG, cascade_files


def listing(folder: Path) -> Iterator[Table | str]:
    """A table a cascade, and what else is there.

    RepositoryError where there is no cascade, FormatError where one cannot be read.
    """
    cascades = [read_cascade(file) for file in cascade_files(folder)]
    for cascade in cascades:
        yield _table(folder, cascade)
    named = {member.name for cascade in cascades for member in cascade.members}
    others = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}") if path.parent.name not in named)
    if others:
        yield f"in no cascade any more, and loaded by Triton all the same: {', '.join(others)}"


def _table(folder: Path, cascade: Cascade) -> Table:
    title = f"{cascade.name}, version {cascade.version}: {len(cascade.classes)} classes, policies "
    title += ", ".join(f"{name}*" if name == cascade.default_policy else name for name in cascade.policies)
    caption = "ms a row: by the service curve, in batches of the size found best, on one worker"
    is_measured = any(member.service_curve for member in cascade.members)
    table = Table(title=title, title_justify="left", caption=caption if is_measured else None)
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
