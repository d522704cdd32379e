"""Outputs of members that nobody trained, with known strengths."""

import numpy as np

from benchmarks.study.outputs import Outputs
from benchmarks.study.strange import FAMILIES
from cascade.scores_file import ScoresFile

CLASSES = 4


def made_outputs(strengths: tuple[float, ...], *, seed: int = 0, macs: float = 1e6) -> Outputs:
    """Members whose logits are the label's times a strength, and noise of their own."""
    rng = np.random.default_rng(seed)
    return Outputs(
        calibration=_scores(strengths, 600, ("patches",), rng, macs),
        test=_scores(strengths, 800, FAMILIES, rng, macs),
    )


def _scores(
    strengths: tuple[float, ...],
    rows: int,
    families: tuple[str, ...],
    rng: np.random.Generator,
    macs: float,
) -> ScoresFile:
    labels = rng.integers(0, CLASSES, rows)
    ease = rng.exponential(1.0, rows)
    signal = np.eye(CLASSES)[labels] * ease[:, None]
    outputs = [strength * signal + rng.normal(0, 1, signal.shape) for strength in strengths]
    strange = [rng.normal(0, 1, (40 * len(families), CLASSES)) for _ in strengths]
    return ScoresFile(
        outputs=np.stack(outputs).astype(np.float32),
        kind="logits",
        labels=labels,
        names=tuple(f"member-{place}" for place in range(len(strengths))),
        macs=(macs,) * len(strengths),
        sha256=tuple(f"{strength:g} {place}" for place, strength in enumerate(strengths)),
        ood_outputs=np.stack(strange).astype(np.float32),
        ood_families=tuple(family for family in families for _ in range(40)),
    )
