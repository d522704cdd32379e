"""Samples of requests with one row each, made by hand."""

from collections.abc import Sequence

import numpy as np

from loadtest.generator.load_samples import LoadSamples, RequestSamples, RowSamples


def made_samples(
    *,
    intended_s: Sequence[float],
    done_s: Sequence[float],
    status: Sequence[int],
    exit_stage: Sequence[int],
    block: Sequence[int] | None = None,
    waits_s: float = 0.0,
) -> LoadSamples:
    """Each waited `waits_s` for its slot; all rows are of sample 0, answered 0."""
    number = len(intended_s)
    intended = np.array(intended_s, np.float64)
    stages = np.array(exit_stage, np.int32)
    requests = RequestSamples(
        block=np.zeros(number, np.int32) if block is None else np.array(block, np.int32),
        intended_s=intended,
        ready_s=intended,
        sent_s=intended + waits_s,
        done_s=np.array(done_s, np.float64),
        status=np.array(status, np.int8),
        num_rows=np.ones(number, np.int32),
        exit_stage=stages,
        degraded=np.zeros(number, np.bool_),
    )
    rows = RowSamples(
        request=np.arange(number),
        sample=np.zeros(number, np.int64),
        label=np.where(stages > 0, 0, -1),
        exit_stage=stages,
        accepted=stages > 0,
        confidence=np.ones(number, np.float32),
    )
    return LoadSamples(requests, rows)
