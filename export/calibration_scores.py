"""The members' outputs on the calibration rows, as a scores file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cascade.scores import softmax
from cascade.scores_file import FORMAT_VERSION, ScoresFile
from export.run import CalibrationRows
from export.staged_member import StagedMember


def make_scores(members: Sequence[StagedMember], rows: CalibrationRows) -> ScoresFile:
    return ScoresFile(
        outputs=np.stack([member.logits for member in members]),
        kind="logits",
        labels=rows.labels,
        names=tuple(member.name for member in members),
        macs=tuple(member.macs for member in members),
        sha256=tuple(member.sha256 for member in members),
        groups=rows.groups,
    )


def write_scores(path: Path, scores: ScoresFile) -> None:
    """Probabilities stand beside the logits, for readers that know no logits."""
    arrays: dict[str, Any] = {
        "format_version": np.int64(FORMAT_VERSION),
        "probabilities": softmax(scores.outputs).astype(np.float32),
        "logits": scores.outputs.astype(np.float32),
        "labels": scores.labels,
        "names": np.array(scores.names),
        "macs": np.array(scores.macs, np.float64),
        "sha256": np.array(scores.sha256),
    }
    if scores.groups is not None:
        arrays["groups"] = scores.groups
    np.savez(path, allow_pickle=False, **arrays)
