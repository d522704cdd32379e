import math

import numpy as np
import pytest

from loadtest.figures.flow import Outflow, flow
from loadtest.wire.rows import Rows


def rows(label: list[int], exit_stage: list[int], accepted: list[bool]) -> Rows:
    number = len(label)
    return Rows(
        probabilities=np.zeros((number, 0), np.float32),
        label=np.array(label, np.int64),
        score=np.zeros(number, np.float32),
        confidence=np.zeros(number, np.float32),
        accepted=np.array(accepted, np.bool_),
        exit_stage=np.array(exit_stage, np.int32),
        exit_reason=np.full(number, "last"),
    )


def test_rows_are_followed_to_where_they_leave() -> None:
    """Five rows: three leave at stage 1 (two accepted, one of them right), two at stage 3, rejected."""
    labels = np.array([0, 0, 0, 0, 0])
    found = flow(rows([0, 1, 0, 0, 1], [1, 1, 1, 3, 3], [True, True, False, False, False]), labels, 3)
    first, second, third = found.exits
    assert first.accepted == Outflow(share=0.4, accuracy=0.5)
    assert first.rejected == Outflow(share=0.2, accuracy=1.0)
    assert (second.share, third.share) == (0.0, 0.4)
    assert third.rejected.accuracy == 0.5
    assert math.isnan(third.accepted.accuracy)
    assert [found.reaching(stage) for stage in (1, 2, 3, 4)] == pytest.approx([1.0, 0.4, 0.4, 0.0])
    assert found.num_exits == 2
