"""The least CPU time a cascade can take here: its members called in a loop, gated with NumPy, no server."""

import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cascade.cascade_file import Cascade, read_cascade
from cascade.policy import Policy, conclude

BATCH_SIZES = (8, 16, 32, 64)


def best_cpu_s_per_row(
    repository: Path, name: str, policy: str, images: NDArray[np.uint8]
) -> tuple[float, int]:
    """CPU-seconds per row at the best of several batch sizes, and that size."""
    cascade = read_cascade(repository / f"{name}.cascade.json")
    sessions = [_session(repository / member.file) for member in cascade.members]
    spent = {
        size: min(_cpu_s(cascade, cascade.policies[policy], sessions, images, size) for _ in range(3))
        for size in BATCH_SIZES
    }
    best = min(spent, key=lambda size: spent[size])
    return spent[best] / len(images), best


def _session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file.read_bytes(), options, ["CPUExecutionProvider"])


def _cpu_s(
    cascade: Cascade,
    policy: Policy,
    sessions: list[onnxruntime.InferenceSession],
    images: NDArray[np.uint8],
    batch: int,
) -> float:
    """Stage by stage over all rows, so that every stage but its last batch is full."""
    begin = time.process_time()
    rows = np.arange(len(images))
    kept: list[NDArray[np.float32]] = []
    for stage, session in enumerate(sessions):
        outputs = np.empty((len(images), len(cascade.classes)), np.float32)
        forwarded = []
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            outputs[part] = session.run(["logits"], {"image": images[part]})[0]
            so_far = [*(output[part] for output in kept), outputs[part]]
            conclusion = conclude(policy, stage, so_far, ["logits"] * len(so_far))
            forwarded.append(part[conclusion.forward])
        kept.append(outputs)
        rows = np.concatenate(forwarded)
        if len(rows) == 0:
            break
    return time.process_time() - begin
