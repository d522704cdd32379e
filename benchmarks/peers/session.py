"""A member's ONNX Runtime session, as every Python peer opens it."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Logits: TypeAlias = NDArray[np.float32]
IMAGE = (32, 32, 3)


class Session:
    def __init__(self, file: Path, threads: int) -> None:
        self._session = onnxruntime.InferenceSession(file, _options(threads), ["CPUExecutionProvider"])

    def run(self, rows: NDArray[np.uint8]) -> Logits:
        logits: Logits = self._session.run(["logits"], {"image": rows})[0]
        return logits


def rows_of(bodies: list[bytes]) -> NDArray[np.uint8]:
    """One image each, as it came over the wire."""
    return np.frombuffer(b"".join(bodies), np.uint8).reshape(len(bodies), *IMAGE)


def _options(threads: int) -> Any:
    """Threads that never spin: several sessions' would fight over the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
