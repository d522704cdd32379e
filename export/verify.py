"""Whether a repository holds what its cascades say, and would load."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cascade.cascade_file import Cascade, Member, TensorSpec, read_cascade
from cascade.errors import CascadeError
from cascade.inside import inside
from cascade.scores_file import read_scores
from export.errors import ExportError, GraphError, RepositoryError
from export.inference import open_session
from export.journal import file_digest
from export.onnx_file import read_onnx
from export.publish import interrupted
from export.repository import CONFIG, SCORES_SUFFIX, Repository, cascade_files
from export.rows import DTYPES, STRINGS, Array
from export.signature import MemberSignature
from export.staged_member import PYTHON_MODEL, SCRIPTS
from export.triton.config import check_describes, read_config
from export.triton.warm_up import read_warm_up

ROWS = 2


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what is wrong with it; None where nothing is."""

    what: str
    problem: str | None = None

    def __str__(self) -> str:
        return f"ok    {self.what}" if self.problem is None else f"WRONG {self.what}: {self.problem}"


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
        yield _checked(member.file, partial(_verify_member, folder, cascade, member))
    yield _checked(f"{cascade.name}{SCORES_SUFFIX}", partial(_verify_scores, folder, cascade))


def _checked(what: str, check: Callable[[], str]) -> Finding:
    """`check` may have a note to what is in order."""
    try:
        note = check()
    except (ExportError, CascadeError, OSError) as error:
        return Finding(what, str(error))
    return Finding(f"{what}: {note}" if note else what)


def _verify_member(folder: Path, cascade: Cascade, member: Member) -> str:
    path = inside(folder, member.file)
    if not path.is_file():
        raise RepositoryError("no such file")
    # Before anything parses it.
    if file_digest(path) != member.sha256:
        raise RepositoryError("is not the file that the cascade was made with: its sha256 differs")
    for below in (folder / member.name).rglob("*"):
        inside(folder, str(below.relative_to(folder)))
    config = read_config(inside(folder, f"{member.name}/{CONFIG}"))
    versions = Repository(folder).versions(member.name)
    check_describes(config, member, _signature(cascade, member), versions)
    row = read_warm_up(config, folder / member.name)
    if config.backend == "python":
        _verify_script(folder, cascade, member)
    if member.format != "onnx":
        return "not run: only Triton does"
    content = path.read_bytes()
    read_onnx(content)
    _run_rows(content, cascade, member, row)
    return ""


def _signature(cascade: Cascade, member: Member) -> MemberSignature:
    inputs = tuple(replace(spec, name=member.inputs[spec.name]) for spec in cascade.inputs)
    return MemberSignature(
        inputs=inputs,
        names=member.inputs,
        num_classes=len(cascade.classes),
        output=member.output,
        output_kind=member.output_kind,
    )


def _verify_script(folder: Path, cascade: Cascade, member: Member) -> None:
    """What Triton would run with all its rights: the cascade's file says what it was."""
    name = f"{member.name}/{member.version}/{PYTHON_MODEL.name}"
    path = inside(folder, name)
    if not path.is_file():
        raise RepositoryError(f"{PYTHON_MODEL.name}: no such file")
    if file_digest(path) != cascade.provenance.get(SCRIPTS, {}).get(name):
        raise RepositoryError(f"{PYTHON_MODEL.name} is not the file that the cascade was made with")


def _run_rows(content: bytes, cascade: Cascade, member: Member, row: Mapping[str, Array] | None) -> None:
    """The row that it is warmed up with, or else zeros: what these give means nothing but its shape."""
    session = open_session(content)
    feeds = {
        member.inputs[spec.name]: _zeros(spec)
        if row is None
        else np.stack([row[member.inputs[spec.name]]] * ROWS)
        for spec in cascade.inputs
    }
    try:
        output = session.run([member.output], feeds)[0]
    except Exception as error:
        if row is None and any(-1 in spec.shape[1:] or spec.datatype == STRINGS for spec in cascade.inputs):
            # Made-up rows may be no rows that it can take.
            return
        raise GraphError(f"ONNX Runtime cannot run it: {' '.join(str(error).split())[:300]}") from error
    if output.shape != (ROWS, len(cascade.classes)):
        raise GraphError(f"gives {list(output.shape)} for {ROWS} rows of {len(cascade.classes)} classes")


def _zeros(spec: TensorSpec) -> Array:
    shape = (ROWS, *(1 if extent == -1 else extent for extent in spec.shape[1:]))
    return (
        np.full(shape, "", np.object_) if spec.datatype == STRINGS else np.zeros(shape, DTYPES[spec.datatype])
    )


def _verify_scores(folder: Path, cascade: Cascade) -> str:
    """What policies are refitted from belongs to these members."""
    path = inside(folder, f"{cascade.name}{SCORES_SUFFIX}")
    if not path.exists():
        return "not there: policies cannot be fitted again"
    scores = read_scores(path)
    digests = dict(zip(scores.names, scores.sha256, strict=bool(scores.sha256)))
    for member in cascade.members:
        scores.member(member.name)
        if digests.get(member.name, member.sha256) != member.sha256:
            raise RepositoryError(f"holds outputs of another {member.name!r} than the cascade's")
    return ""
