"""Members embedded as ONNX Runtime sessions.

A session runs on the calling worker thread alone, without spinning, unless told otherwise: with several
batches in flight, threads of their own mostly fight over the cores.
"""

import hashlib
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from cascade.errors import FormatError
from cascade.inside import inside
from cascade.runtime import ServiceCurve
from serving.accelerators import preload_libraries
from serving.config import PROVIDERS, SessionConfig
from serving.datatypes import DTYPES
from serving.errors import MemberFailed, RowsRefused, StartupError
from serving.scheduling.curves import LearntCurve

log = logging.getLogger("exitgate")
DEFAULT_SESSION = SessionConfig()
EMBEDDED = "embedded"
"""The pool of all members in this process: they share its processors."""

UNKNOWN_CURVE = ServiceCurve(1e-3, 1e-3)
ONNX_TYPES = {
    "BOOL": "tensor(bool)",
    "FP16": "tensor(float16)",
    "FP32": "tensor(float)",
    "FP64": "tensor(double)",
    "BYTES": "tensor(string)",
    **{name: f"tensor({name.lower()})" for name in DTYPES if name.startswith(("INT", "UINT"))},
}
DATATYPES = {onnx_type: name for name, onnx_type in ONNX_TYPES.items()}


class Member(Protocol):
    """A model that turns a batch of inputs into `(rows, classes)` outputs. Called on worker threads."""

    @property
    def key(self) -> str:
        """Name and version, unique in a server."""

    @property
    def pool(self) -> str:
        """Members of one pool share its workers; a pool's name is its own."""

    @property
    def output_datatype(self) -> str:
        """The protocol's name for what `run` gives."""

    @property
    def curve(self) -> LearntCurve:
        """How long its batches take; the event loop's."""

    def run(
        self, inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf
    ) -> NDArray[np.floating]:
        """Outputs for inputs by the member's own names, not checked for being finite; MemberFailed where it
        can't, MemberDown where that has nothing to do with the rows. Nobody waits for them after
        `deadline_s`, of the monotonic clock."""


class OnnxMember:
    """An ONNX model in this process. `curve` is a guess until `warm_up` or the cascade file knows better."""

    pool = EMBEDDED

    def __init__(
        self, spec: MemberSpec, num_classes: int, max_rows: int, session: onnxruntime.InferenceSession
    ) -> None:
        self.spec = spec
        self.key = member_key(spec)
        self.curve = LearntCurve(spec.service_curve or UNKNOWN_CURVE, max_rows)
        self.max_rows = max_rows
        self.output_datatype = _output_datatype(spec, session)
        self._session = session
        self._outputs = [spec.output]
        self._num_classes = num_classes
        self.is_bound = session.get_providers()[0] != "CPUExecutionProvider"

    def run(
        self, inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf
    ) -> NDArray[np.floating]:
        """A run that has begun is brought to its end."""
        try:
            output = self._bound(inputs) if self.is_bound else self._session.run(self._outputs, inputs)[0]
        except InvalidArgument as error:
            raise RowsRefused(
                f"member {self.spec.name!r} refused the rows{_status_message(error)}"
            ) from error
        except Exception as error:  # ONNX Runtime raises several kinds, none of them documented
            log.error("member %s failed: %s", self.key, _first_line(error))
            raise MemberFailed(f"member {self.spec.name!r} failed; the server's log says why") from error
        rows = len(next(iter(inputs.values())))
        if output.shape != (rows, self._num_classes):
            raise MemberFailed(f"member {self.spec.name!r} gave shape {output.shape} for {rows} rows")
        return np.asarray(output)

    def _bound(self, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.floating]:
        """On a device: each input is copied there once, and only the output that is wanted comes back."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        binding.bind_output(self.spec.output)
        self._session.run_with_iobinding(binding)
        output: NDArray[np.floating] = binding.copy_outputs_to_cpu()[0]
        return output


def _output_datatype(spec: MemberSpec, session: onnxruntime.InferenceSession) -> str:
    """StartupError where the model has no such output, or none of floating-point numbers."""
    outputs = {item.name: item.type for item in session.get_outputs()}
    if spec.output not in outputs:
        raise StartupError(f"member {spec.name!r} has no output {spec.output!r}, only {', '.join(outputs)}")
    datatype = DATATYPES.get(outputs[spec.output], "")
    if datatype not in ("FP16", "FP32", "FP64"):
        raise StartupError(
            f"member {spec.name!r}: output {spec.output!r} is {outputs[spec.output]}, no float"
        )
    return datatype


def check_shared(first: tuple[MemberSpec, Cascade], second: tuple[MemberSpec, Cascade]) -> None:
    """Cascades that share a member must say the same of it, since its batches mix their rows."""
    (spec, cascade), (other_spec, other) = first, second
    if described(spec, cascade) != described(other_spec, other):
        raise StartupError(
            f"{cascade.name!r} and {other.name!r} share member {spec.name!r} version {spec.version}, "
            "and describe it differently"
        )


def described(spec: MemberSpec, cascade: Cascade) -> tuple[object, ...]:
    """All that a member's running depends on."""
    tensors = {spec.inputs[tensor.name]: (tensor.datatype, tensor.shape) for tensor in cascade.inputs}
    return spec.sha256, spec.output, spec.output_kind, tensors, len(cascade.classes)


def member_key(spec: MemberSpec) -> str:
    return f"{spec.name}/{spec.version}"


def load_member(
    repository: Path,
    spec: MemberSpec,
    cascade: Cascade,
    max_rows: int,
    config: SessionConfig = DEFAULT_SESSION,
) -> OnnxMember:
    """Load a member, whose batches will have up to `max_rows`, after checking that its file is the one the
    cascade pins."""
    if spec.format != "onnx":
        raise StartupError(f"member {spec.name!r} is a {spec.format} file, which only Triton runs")
    path = path_of(spec, repository)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StartupError(f"member {spec.name!r}: {path}: {error.strerror}") from None
    check_pinned(spec, cascade, path, hashlib.sha256(content).hexdigest())
    session = _session(content, config, f"member {spec.name!r}: {path}")
    _check_inputs(spec, cascade, session)
    return OnnxMember(spec, len(cascade.classes), max_rows, session)


def path_of(spec: MemberSpec, repository: Path) -> Path:
    """Of its file, which may lie nowhere but in the repository."""
    try:
        return inside(repository, spec.file)
    except FormatError as error:
        raise StartupError(f"member {spec.name!r}: {error}") from None


def check_pinned(spec: MemberSpec, cascade: Cascade, path: Path, sha256: str) -> None:
    if sha256 != spec.sha256:
        raise StartupError(
            f"member {spec.name!r}: {path} is not the file that {cascade.name!r} was made with"
        )


def _session(content: bytes, config: SessionConfig, where: str) -> onnxruntime.InferenceSession:
    providers = PROVIDERS[config.accelerator]
    missing = preload_libraries(config.accelerator)
    try:
        session = onnxruntime.InferenceSession(content, _session_options(config), list(providers))
    except Exception as error:  # ONNX Runtime raises several kinds, none of them documented
        raise StartupError(f"{where}: {_first_line(error)}") from None
    # It goes on without a provider that it cannot load, and only logs so.
    if providers[0] not in session.get_providers():
        why = f": {missing}" if missing else ""
        raise StartupError(f"{where}: ONNX Runtime cannot load {providers[0]} here{why}")
    return session


def _session_options(config: SessionConfig) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.num_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(config.is_spinning)))
    options.log_severity_level = 3
    return options


def _check_inputs(spec: MemberSpec, cascade: Cascade, session: onnxruntime.InferenceSession) -> None:
    found = {item.name: item.type for item in session.get_inputs()}
    datatypes = {tensor.name: tensor.datatype for tensor in cascade.inputs}
    wanted = {own: ONNX_TYPES[datatypes[name]] for name, own in spec.inputs.items()}
    if found != wanted:
        raise StartupError(f"member {spec.name!r} takes {found}; its cascade says {wanted}")


def warm_up(member: OnnxMember, cascade: Cascade) -> None:
    """Run zeros through, so that the first request pays for no lazy initialisation, and time it."""
    seconds = []
    for rows in (1, member.max_rows):
        inputs = {
            member.spec.inputs[spec.name]: _blank(spec.datatype, (rows, *spec.shape[1:]))
            for spec in cascade.inputs
        }
        member.run(inputs)
        begin = time.perf_counter()
        member.run(inputs)
        seconds.append(time.perf_counter() - begin)
    measured = _curve(seconds[0], seconds[1], member.max_rows)
    member.curve = LearntCurve(member.spec.service_curve or measured, member.max_rows)


def _curve(one_s: float, full_s: float, max_rows: int) -> ServiceCurve:
    slope = (full_s - one_s) / (max_rows - 1) if max_rows > 1 else one_s / 2
    slope = min(max(slope, full_s / max_rows / 10), full_s / max_rows)
    return ServiceCurve(slope, max(0.0, full_s - slope * max_rows))


def _blank(datatype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    fixed = tuple(1 if extent == -1 else extent for extent in shape)
    if datatype == "BYTES":
        return np.full(fixed, "", np.object_)
    return np.zeros(fixed, DTYPES[datatype])


def _status_message(error: Exception) -> str:
    """What an operator said of its input; its place in ONNX Runtime's source is nobody's business."""
    _, found, message = _first_line(error).partition("Status Message: ")
    return f": {message}" if found and "/" not in message else ""


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
