"""Members embedded as ONNX Runtime sessions.

A session runs on the calling worker thread alone, without spinning, unless told otherwise: with several
batches in flight, threads of their own mostly fight over the cores.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from cascade.errors import FormatError
from cascade.inside import inside
from serving.config import SessionConfig
from serving.datatypes import DTYPES
from serving.errors import MemberFailed, StartupError

DEFAULT_SESSION = SessionConfig()
ONNX_TYPES = {
    "BOOL": "tensor(bool)",
    "FP16": "tensor(float16)",
    "FP32": "tensor(float)",
    "FP64": "tensor(double)",
    "BYTES": "tensor(string)",
    **{name: f"tensor({name.lower()})" for name in DTYPES if name.startswith(("INT", "UINT"))},
}


class Member(Protocol):
    """A model that turns a batch of inputs into `(rows, classes)` outputs. Called on worker threads."""

    @property
    def key(self) -> str:
        """Name and version, unique in a server."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.floating]:
        """Outputs for inputs by the cascade's names, not checked for being finite; MemberFailed where it
        can't."""


class OnnxMember:
    """An ONNX model in this process."""

    def __init__(self, spec: MemberSpec, cascade: Cascade, session: onnxruntime.InferenceSession) -> None:
        self.spec = spec
        self.key = member_key(spec)
        self._session = session
        self._inputs = tuple(spec.inputs.items())
        self._outputs = [spec.output]
        self._num_classes = len(cascade.classes)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.floating]:
        feeds = {own: inputs[name] for name, own in self._inputs}
        try:
            output = self._session.run(self._outputs, feeds)[0]
        except Exception as error:  # ONNX Runtime raises several kinds, none of them documented
            raise MemberFailed(f"member {self.spec.name!r} failed: {_first_line(error)}") from error
        rows = len(next(iter(feeds.values())))
        if output.shape != (rows, self._num_classes):
            raise MemberFailed(f"member {self.spec.name!r} gave shape {output.shape} for {rows} rows")
        return np.asarray(output)


def check_shared(first: tuple[MemberSpec, Cascade], second: tuple[MemberSpec, Cascade]) -> None:
    """Cascades that share a member must say the same of it, since its batches mix their rows."""
    (spec, cascade), (other_spec, other) = first, second
    if _described(spec, cascade) != _described(other_spec, other):
        raise StartupError(
            f"{cascade.name!r} and {other.name!r} share member {spec.name!r} version {spec.version}, "
            "and describe it differently"
        )


def _described(spec: MemberSpec, cascade: Cascade) -> tuple[object, ...]:
    datatypes = {tensor.name: tensor.datatype for tensor in cascade.inputs}
    return spec.sha256, spec.output, spec.output_kind, dict(spec.inputs), datatypes, len(cascade.classes)


def member_key(spec: MemberSpec) -> str:
    return f"{spec.name}/{spec.version}"


def load_member(
    repository: Path, spec: MemberSpec, cascade: Cascade, config: SessionConfig = DEFAULT_SESSION
) -> OnnxMember:
    """Load a member after checking that its file is the one the cascade pins."""
    if spec.format != "onnx":
        raise StartupError(f"member {spec.name!r} is a {spec.format} file, which only Triton runs")
    try:
        path = inside(repository, spec.file)
    except FormatError as error:
        raise StartupError(f"member {spec.name!r}: {error}") from None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StartupError(f"member {spec.name!r}: {path}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != spec.sha256:
        raise StartupError(
            f"member {spec.name!r}: {path} is not the file that {cascade.name!r} was made with"
        )
    try:
        session = onnxruntime.InferenceSession(content, _session_options(config), ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises several kinds, none of them documented
        raise StartupError(f"member {spec.name!r}: {path}: {_first_line(error)}") from None
    _check_signature(spec, cascade, session)
    return OnnxMember(spec, cascade, session)


def _session_options(config: SessionConfig) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.num_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(config.is_spinning)))
    options.log_severity_level = 3
    return options


def _check_signature(spec: MemberSpec, cascade: Cascade, session: onnxruntime.InferenceSession) -> None:
    """The model takes the inputs that the cascade file says, and gives the output."""
    found = {item.name: item.type for item in session.get_inputs()}
    datatypes = {tensor.name: tensor.datatype for tensor in cascade.inputs}
    wanted = {own: ONNX_TYPES[datatypes[name]] for name, own in spec.inputs.items()}
    if found != wanted:
        raise StartupError(f"member {spec.name!r} takes {found}; its cascade says {wanted}")
    outputs = [item.name for item in session.get_outputs()]
    if spec.output not in outputs:
        raise StartupError(f"member {spec.name!r} has no output {spec.output!r}, only {', '.join(outputs)}")


def warm_up(member: Member, cascade: Cascade, batch_sizes: Sequence[int]) -> None:
    """Run zeros through, so that the first request pays for no lazy initialisation."""
    for rows in batch_sizes:
        member.run({spec.name: _blank(spec.datatype, (rows, *spec.shape[1:])) for spec in cascade.inputs})


def _blank(datatype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    fixed = tuple(1 if extent == -1 else extent for extent in shape)
    if datatype == "BYTES":
        return np.full(fixed, "", np.object_)
    return np.zeros(fixed, DTYPES[datatype])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
