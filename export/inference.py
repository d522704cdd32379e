"""Running an ONNX file. Needs no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from export.errors import GraphError
from export.rows import Classifier, Feeds, Outputs
from export.signature import MemberSignature

PROVIDERS = ("CPUExecutionProvider",)
FATAL_ONLY = 4
"""Its errors come as exceptions, and are told once."""


def open_session(
    model: Path | bytes,
    *,
    num_threads: int = 0,
    is_spinning: bool = False,
    providers: Sequence[str] = PROVIDERS,
) -> Any:
    """An onnxruntime.InferenceSession; GraphError where ONNX Runtime refuses the model.

    `num_threads` run one operator, 0 for as many as there are cores. A thread that spins waits for its next
    operator awake.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(is_spinning)))
    try:
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    # Its exceptions have no base of their own.
    except Exception as error:
        raise GraphError(f"ONNX Runtime cannot load it: {first_line(error)}") from error


def classifier_of(session: Any, signature: MemberSignature) -> Classifier:
    """Outputs for inputs by the cascade's names; GraphError where the model cannot take them."""

    def run(feeds: Feeds) -> Outputs:
        own = {signature.names[name]: array for name, array in feeds.items()}
        try:
            return np.asarray(session.run([signature.output], own)[0])
        except Exception as error:
            raise GraphError(f"ONNX Runtime cannot run it: {first_line(error)}") from error

    return run


def first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
