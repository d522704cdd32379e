"""Whether a repository holds what its cascades say, and would load."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cascade.cascade_file import Cascade, Member, TensorSpec, read_cascade
from cascade.errors import CascadeError
from cascade.inside import inside
from cascade.scores_file import read_scores
from export.errors import ExportError, GraphError, RepositoryError
from export.inference import open_session
from export.onnx_file import read_onnx
from export.publish import interrupted
from export.repository import CONFIG, SCORES_SUFFIX, cascade_files, file_digest
from export.rows import DTYPES, STRINGS
from export.staged_member import PYTHON_MODEL
from export.triton.config import read_config

ROWS = 2


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what is wrong with it; None where nothing is."""

    what: str
    problem: str | None = None


def verify(folder: Path) -> Iterator[Finding]:
    """One finding for each thing looked at. RepositoryError where there is nothing to look at."""
    files = cascade_files(folder)
    for left in interrupted(folder):
        yield Finding(str(left), "left by an export that was cut off; the next export puts things right")
    yield from _strangers(folder)
    for file in files:
        yield from _verify_cascade(folder, file)


def _strangers(folder: Path) -> Iterator[Finding]:
    """Triton fails on any folder that is no model, a hidden one too."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not (path / CONFIG).is_file():
            yield Finding(path.name, f"a folder without {CONFIG}, on which Triton fails")


def _verify_cascade(folder: Path, file: Path) -> Iterator[Finding]:
    try:
        inside(folder, file.name)
        cascade = read_cascade(file)
    except CascadeError as error:
        yield Finding(file.name, str(error))
        return
    yield Finding(f"{file.name}: version {cascade.version}, {len(cascade.policies)} policies")
    for member in cascade.members:
        yield _checked(member.file, lambda member=member: _verify_member(folder, cascade, member))
    yield _checked(f"{cascade.name}{SCORES_SUFFIX}", lambda: _verify_scores(folder, cascade))


def _checked(what: str, check: Any) -> Finding:
    try:
        check()
    except (ExportError, CascadeError, OSError) as error:
        return Finding(what, str(error))
    return Finding(what)


def _verify_member(folder: Path, cascade: Cascade, member: Member) -> None:
    path = inside(folder, member.file)
    if not path.is_file():
        raise RepositoryError("no such file")
    # Before anything parses it.
    if file_digest(path) != member.sha256:
        raise RepositoryError("is not the file that the cascade was made with: its sha256 differs")
    _verify_config(folder, cascade, member)
    if member.format == "onnx":
        content = path.read_bytes()
        read_onnx(content)
        _run_rows(content, cascade, member)


def _verify_config(folder: Path, cascade: Cascade, member: Member) -> None:
    config = read_config(inside(folder, f"{member.name}/{CONFIG}"))
    if config.name != member.name:
        raise RepositoryError(f"{CONFIG} is of {config.name!r}")
    inputs, outputs = ({tensor.name for tensor in side} for side in (config.input, config.output))
    if inputs != set(member.inputs.values()) or member.output not in outputs:
        raise RepositoryError(
            f"{CONFIG} describes inputs {sorted(inputs)} and outputs {sorted(outputs)}; the cascade says "
            f"{sorted(member.inputs.values())} and {member.output}"
        )
    if config.backend == "python":
        model = inside(folder, f"{member.name}/{member.version}/{PYTHON_MODEL.name}")
        if not model.is_file() or model.read_bytes() != PYTHON_MODEL.read_bytes():
            raise RepositoryError(f"{model.name} is not what this version of export writes")


def _run_rows(content: bytes, cascade: Cascade, member: Member) -> None:
    """Zeros for every input, as the server warms up: what they give means nothing but its shape."""
    session = open_session(content)
    feeds = {member.inputs[spec.name]: _zeros(spec) for spec in cascade.inputs}
    try:
        output = session.run([member.output], feeds)[0]
    except Exception as error:
        raise GraphError(f"ONNX Runtime cannot run it: {' '.join(str(error).split())[:300]}") from error
    if output.shape != (ROWS, len(cascade.classes)):
        raise GraphError(f"gives {list(output.shape)} for {ROWS} rows of {len(cascade.classes)} classes")


def _zeros(spec: TensorSpec) -> Any:
    shape = (ROWS, *(1 if extent == -1 else extent for extent in spec.shape[1:]))
    return (
        np.full(shape, "", np.object_) if spec.datatype == STRINGS else np.zeros(shape, DTYPES[spec.datatype])
    )


def _verify_scores(folder: Path, cascade: Cascade) -> None:
    """What policies are refitted from belongs to these members."""
    path = inside(folder, f"{cascade.name}{SCORES_SUFFIX}")
    if not path.exists():
        return
    scores = read_scores(path)
    pinned = {member.name: member.sha256 for member in cascade.members}
    for name, digest in zip(scores.names, scores.sha256, strict=False):
        if pinned.get(name) != digest:
            raise RepositoryError(f"holds outputs of another {name!r} than the cascade's")
