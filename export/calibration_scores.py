"""The members' outputs on the calibration rows, all that policies are fitted on."""

from collections.abc import Sequence

import numpy as np

from cascade.scores_file import ScoresFile
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
