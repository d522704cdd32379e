"""Fitting and replaying 50,000 rows x 1,000 classes x 3 members, from a memory-mapped folder."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cascade.fitting.fit import FitSettings, fit
from cascade.replay import Replay, replay
from cascade.scores_file import read_scores

ROWS, CLASSES, MEMBERS = 50_000, 1000, 3
REPLAYS = 5


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores"
        _write(path)
        scores, read_s = _timed(lambda: read_scores(path))
        stages = tuple((name,) for name in scores.names)
        policy, fit_s = _timed(lambda: fit(scores, stages, FitSettings(budget="1.3x")))

        def played() -> Replay:
            return replay(policy, stages, scores, keep_probabilities=False)

        replays = [_timed(played)[1] for _ in range(REPLAYS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "rows": ROWS,
        "classes": CLASSES,
        "members": MEMBERS,
        "read_s": round(read_s, 2),
        "fit_s": round(fit_s, 2),
        "replay_s": sorted(round(seconds, 3) for seconds in replays),
        "peak_gib": round(peak, 2),
        "chosen": policy.evidence["chosen"],
    }


def _write(path: Path) -> None:
    """Logits written member by member, so that making them does not set the peak."""
    path.mkdir()
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, ROWS)
    strength = rng.exponential(6.0, (ROWS, 1)).astype(np.float32)
    shape = (MEMBERS, ROWS, CLASSES)
    logits = np.lib.format.open_memmap(path / "logits.npy", mode="w+", dtype=np.float32, shape=shape)
    for member in range(MEMBERS):
        for begin in range(0, ROWS, 5000):
            rows = slice(begin, begin + 5000)
            logits[member, rows] = rng.standard_normal((5000, CLASSES), np.float32)
            logits[member, np.arange(begin, begin + 5000), labels[rows]] += strength[rows, 0]
    logits.flush()
    for name, array in (
        ("labels", labels),
        ("names", np.array([f"member-{number}" for number in range(MEMBERS)])),
        ("macs", np.array([1.0, 2.0, 4.0])),
    ):
        np.save(path / f"{name}.npy", array)


def _timed(call: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begin
