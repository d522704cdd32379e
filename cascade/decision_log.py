"""The decision log: what a server concluded of each row that it answered, in Parquet files.

`serving.decision_log` writes them, `evaluate --log` reads them, and both have the columns from here. pyarrow
is imported where it is needed, since nothing else needs it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascade.errors import CascadeError, FormatError

FORMAT_VERSION = 1
VERSION_KEY = b"format_version"
SUFFIX = ".parquet"
BATCH_ROWS = 2**18
"""So many rows are held at once while a log is read."""

Group = tuple[str, str, str]
"""Model, cascade version, policy."""


def arrow() -> Any:
    """pyarrow, with the parts that read and write files."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise CascadeError("a decision log needs pyarrow: pip install '.[log]'") from None
    return pyarrow


def schema() -> Any:
    """A row's columns, in order. cascade/README.md says what each holds."""
    pa = arrow()
    name = pa.dictionary(pa.int32(), pa.string())
    columns = {
        "time": pa.timestamp("us", tz="UTC"),
        "request_id": pa.string(),
        "row": pa.int32(),
        "model": name,
        "cascade_version": name,
        "policy": name,
        "members": name,
        "label": pa.int64(),
        "score": pa.float32(),
        "confidence": pa.float32(),
        "accepted": pa.bool_(),
        "exit_stage": pa.int32(),
        "exit_reason": name,
        "degraded": pa.bool_(),
        "max_stages": pa.int32(),
        "gear": pa.int32(),
        "audited": pa.bool_(),
        "audit_label": pa.int64(),
    }
    nullable = ("max_stages", "gear", "audit_label")
    fields = [pa.field(column, kind, nullable=column in nullable) for column, kind in columns.items()]
    return pa.schema(fields, metadata={VERSION_KEY: str(FORMAT_VERSION)})


@dataclass(frozen=True)
class LoggedRows:
    """Some rows of one file. `request_id` is an Arrow array; `group[row]` is the row's place in `groups`, and
    `reason[row]` in `reasons`."""

    time: NDArray[np.datetime64]
    request_id: Any
    row: NDArray[np.int64]
    groups: tuple[Group, ...]
    group: NDArray[np.intp]
    label: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    exit_stage: NDArray[np.int64]
    reasons: tuple[str, ...]
    reason: NDArray[np.intp]
    degraded: NDArray[np.bool_]


READ = (
    *("time", "request_id", "row", "model", "cascade_version", "policy"),
    *("label", "confidence", "accepted", "exit_stage", "exit_reason", "degraded"),
)


def log_files(paths: Iterable[Path]) -> list[Path]:
    """The files of a log, each once; of a folder those that are complete."""
    files: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder")
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise FormatError(f"{path}: holds no *{SUFFIX}")
        files |= dict.fromkeys(file.resolve() for file in inside)
    return list(files)


def read_log(file: Path) -> Iterator[LoggedRows]:
    """The rows of one file, bit by bit. FormatError names the file where it is none of a decision log's."""
    pa = arrow()
    with _told_of(file), pa.parquet.ParquetFile(file) as opened:
        _check(opened.schema_arrow)
        for batch in opened.iter_batches(BATCH_ROWS, columns=list(READ)):
            yield _rows(batch)


@contextmanager
def _told_of(file: Path) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from None
    except (OSError, arrow().ArrowException) as error:
        raise FormatError(f"{file}: not a Parquet file ({str(error).splitlines()[0]})") from None


def _check(found: Any) -> None:
    """Other tools that merge files may drop the version; without one it is the first."""
    version = (found.metadata or {}).get(VERSION_KEY, b"1")
    if version != str(FORMAT_VERSION).encode():
        shown = version.decode(errors="replace")[:40]
        raise FormatError(f"format_version {shown} is unknown; this reads {FORMAT_VERSION}")
    missing = [name for name in READ if name not in found.names]
    if missing:
        raise FormatError(f"not a decision log: columns are missing: {', '.join(missing)}")


def _rows(batch: Any) -> LoggedRows:
    columns = {name: _column(batch, name) for name in READ}
    groups, group = _grouped([columns[name] for name in ("model", "cascade_version", "policy")])
    return LoggedRows(
        time=columns["time"].to_numpy(zero_copy_only=False),
        request_id=columns["request_id"],
        row=columns["row"].to_numpy().astype(np.int64),
        groups=groups,
        group=group,
        label=columns["label"].to_numpy(),
        confidence=columns["confidence"].to_numpy().astype(np.float64),
        accepted=columns["accepted"].to_numpy(zero_copy_only=False),
        exit_stage=columns["exit_stage"].to_numpy().astype(np.int64),
        reasons=tuple(columns["exit_reason"].dictionary.to_pylist()),
        reason=columns["exit_reason"].indices.to_numpy(),
        degraded=columns["degraded"].to_numpy(zero_copy_only=False),
    )


def _column(batch: Any, name: str) -> Any:
    """As the schema has it; whoever merged files may have written names as plain strings."""
    column, wanted = batch.column(name), schema().field(name).type
    if column.null_count:
        raise FormatError(f"column {name!r} has nulls")
    try:
        return column if column.type == wanted else column.cast(wanted)
    except arrow().ArrowException:
        raise FormatError(f"column {name!r} is {column.type}; it must be {wanted}") from None


def _grouped(columns: list[Any]) -> tuple[tuple[Group, ...], NDArray[np.intp]]:
    """The distinct combinations, and the place of each row's among them."""
    models, versions, policies = (column.dictionary.to_pylist() for column in columns)
    sizes = len(models), len(versions), len(policies)
    # One number a row: `unique` takes thirty times as long over rows of three.
    code = np.ravel_multi_index([column.indices.to_numpy() for column in columns], sizes)
    codes, place = np.unique(code, return_inverse=True)
    kinds = zip(*np.unravel_index(codes, sizes), strict=True)
    groups = tuple((models[model], versions[version], policies[policy]) for model, version, policy in kinds)
    return groups, place
