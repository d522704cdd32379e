"""The least CPU time a cascade can take here: its members called in a loop, gated with NumPy, no server."""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cascade.cascade_file import Cascade, read_cascade
from cascade.decision import conclude
from cascade.policy import Policy

BATCH_SIZES = (32, 64)
REPEATS = 3


def best_cpu_s_per_row(
    repository: Path, name: str, policy: str, images: NDArray[np.uint8], side_by_side: int
) -> tuple[float, int]:
    """CPU-seconds per row at the best of several batch sizes, and that size.

    `side_by_side` processes run the same loop at once: cores that share caches and execution units spend
    more CPU time per row when all are busy, as they are under a server at saturation.
    """
    loop = partial(_cpu_s_per_row, repository, name, policy, images)
    with ProcessPoolExecutor(side_by_side, mp_context=get_context("spawn")) as pool:
        spent = {size: mean(pool.map(loop, [size] * side_by_side, chunksize=1)) for size in BATCH_SIZES}
    best = min(spent, key=lambda size: spent[size])
    return spent[best], best


def _cpu_s_per_row(repository: Path, name: str, policy: str, images: NDArray[np.uint8], batch: int) -> float:
    cascade = read_cascade(repository / f"{name}.cascade.json")
    sessions = [_session(repository / member.file) for member in cascade.members]
    runs = [_cpu_s(cascade, cascade.policies[policy], sessions, images, batch) for _ in range(REPEATS)]
    return median(runs) / len(images)


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
