"""Made-up outputs of members, whose strengths and difficulties are known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cascade.scores_file import ScoresFile

STAGES = (("a",), ("b",), ("c",))
CLASSES = 5


def outputs(
    rows: int,
    seed: int = 0,
    members: int = 3,
    groups: bool = False,
    noise: Sequence[float] = (1.0, 1.0, 1.0),
    num_ood: int = 0,
) -> ScoresFile:
    """Logits of members on rows of very different difficulty; the more noise, the weaker a member.

    Out-of-distribution rows are noise alone.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, rows)
    strength = rng.exponential(4.0, (1, rows, 1))
    spread = np.array(noise[:members])[:, None, None]
    logits = strength * np.eye(CLASSES)[labels] + spread * rng.normal(0, 1, (members, rows, CLASSES))
    ood = spread * rng.normal(0, 1.5, (members, num_ood, CLASSES))
    return ScoresFile(
        outputs=logits.astype(np.float32),
        kind="logits",
        labels=labels,
        names=("a", "b", "c")[:members],
        macs=(1.0, 2.0, 3.0)[:members],
        groups=np.arange(rows) // 4 if groups else None,
        ood_outputs=ood.astype(np.float32) if num_ood else None,
    )


def saturated(scores: ScoresFile, share: float, member: int = 0) -> ScoresFile:
    """The same rows, the surest `share` of which one member answers with a probability of exactly 1."""
    logits = scores.outputs.copy()
    top = np.sort(logits[member], axis=1)
    surest = np.argsort(top[:, -2] - top[:, -1], kind="stable")[: round(share * scores.num_rows)]
    winners = logits[member, surest].argmax(axis=1)
    logits[member, surest, winners] += 2000.0
    return replace(scores, outputs=logits)
