"""Rows that must leave before the cascade is done with them: the best so far, and judged as such."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cascade.decision import ExitReason, conclude
from serving.exits import Exits, write
from serving.jobs import LEFT, Answer, Job


def cut_short(job: Job, depth: NDArray[np.int8]) -> Iterator[Exits]:
    """Settle the rows that are still under way with the stages that they have been through, `depth` of each.

    They get an answer of their own: a worker may be writing rows of the other one just now.
    """
    answer = job.cut_answer = _copied(job.answer, depth == LEFT)
    for stages in np.unique(depth[depth != LEFT]).tolist():
        rows = np.flatnonzero(depth == stages)
        slots = range(job.served.stage_slots[stages - 1].stop)
        outputs = [kept[rows] for slot in slots if (kept := job.outputs[slot]) is not None]
        kinds = job.served.kinds[: len(slots)]
        conclusion = conclude(job.policy, stages - 1, outputs, kinds, stages, cut_as=ExitReason.DEADLINE)
        written = write(answer, stages - 1, rows, conclusion, slice(None))
        yield Exits(job, stages - 1, stages - 1, rows, *written, is_degraded=True)


def _copied(answer: Answer, settled: NDArray[np.bool_]) -> Answer:
    copy = Answer(*answer.probabilities.shape)
    for name in Answer.__slots__:
        getattr(copy, name)[settled] = getattr(answer, name)[settled]
    return copy
