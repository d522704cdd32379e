"""Rows that leave: what was concluded of them goes into their job's answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascade.decision import Conclusion
from serving.jobs import Answer, Job, Rows


@dataclass(slots=True)
class Exits:
    """Rows of one job that left, with their reasons and how many were accepted.

    `stage` (from 0) is the last one that their answer rests on, `at` the one they were at: another where its
    members failed. They are degraded where the cascade was not done with them.
    """

    job: Job
    stage: int
    at: int
    rows: Rows
    reasons: NDArray[np.uint8]
    num_accepted: int
    is_degraded: bool = False


def write(
    answer: Answer, stage: int, rows: Rows, conclusion: Conclusion, chosen: slice | Rows
) -> tuple[NDArray[np.uint8], int]:
    """Write what was concluded of the `chosen` into `rows` of an answer; their reasons, and how many are
    accepted."""
    verdict, accepted, reasons = conclusion.verdict, conclusion.accepted[chosen], conclusion.reason[chosen]
    # All rows of an answer are written by place, which NumPy does faster than by index.
    to = slice(None) if len(rows) == len(answer.label) else rows
    answer.probabilities[to] = verdict.probabilities[chosen]
    answer.label[to] = verdict.label[chosen]
    answer.score[to] = verdict.score[chosen]
    answer.confidence[to] = conclusion.confidence[chosen]
    answer.accepted[to] = accepted
    answer.exit_reason[to] = reasons
    answer.exit_stage[to] = stage + 1
    return reasons, int(np.count_nonzero(accepted))
