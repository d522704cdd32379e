import numpy as np
import pytest

from loadtest.figures.under_load import UnderLoad, under_load
from loadtest.generator.load_samples import LoadSamples
from loadtest.traffic.samples import Samples
from loadtest.wire.client import Status
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_cases import load_samples, tiny_case

# Ten samples of the class 0, the last of which the contender gets wrong even without load.
POOL = Samples(
    inputs=(NamedTensor("x", "FP32", np.zeros((10, 2), np.float32)),), labels=np.zeros(10, np.int64)
)
CALM = np.array([0] * 9 + [1])


def seen(samples: LoadSamples, objective_ms: float | None = None) -> UnderLoad:
    return under_load(tiny_case(), samples, POOL, objective_ms, CALM, CALM)


def loaded(**changes: object) -> LoadSamples:
    """Ten requests of one row; 3 was shed, 4 given up, 5 degraded, 6 late, and 9 is wrong."""
    status = np.full(10, Status.OK, np.int8)
    status[3], status[4] = Status.SHED, Status.TIMEOUT
    stage = np.array([1, 1, 1, 0, 0, 1, 2, 2, 1, 1], np.int32)
    done = np.arange(10) / 10 + 0.01
    done[6] += 1.0
    label = np.array([0, 0, 0, -1, -1, 0, 0, 0, 0, 1])
    parts = {
        "status": status,
        "exit_stage": stage,
        "done_s": done,
        "degraded": np.arange(10) == 5,
        "row_label": label,
        "row_accepted": label == 0,
        **changes,
    }
    return load_samples([1] * 10, **parts)


def test_rows_without_an_answer_are_neither_right_nor_accepted() -> None:
    figures = seen(loaded())
    assert figures.accuracy.value == 0.7
    assert figures.answered_accuracy.value == pytest.approx(7 / 8)
    assert figures.coverage.value == 0.7
    assert figures.risk.value == 0.0
    assert (figures.shed, figures.failed, figures.degraded) == (0.1, 0.1, 0.1)


def test_good_is_right_in_time_and_not_degraded() -> None:
    assert seen(loaded()).good == 0.6
    figures = seen(loaded(), objective_ms=100.0)
    assert figures.good == 0.5
    assert figures.in_time == 0.6
    # Of the nine rows that are right without load.
    assert figures.kept == pytest.approx(5 / 9)


def test_rows_won_under_load_make_up_for_none_that_is_lost() -> None:
    """Row 9 is wrong in calm and right under load, row 0 the other way round."""
    label = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    figures = seen(load_samples([1] * 10, row_label=label))
    assert figures.good == 0.9
    assert figures.kept == pytest.approx(8 / 9)


def test_exits_cost_and_agreement_are_of_the_answered() -> None:
    figures = seen(loaded())
    assert [share.value for share in figures.exit_shares] == [0.75, 0.25]
    # Stage 1 costs 10, both 40.
    assert figures.cost == pytest.approx((6 * 10 + 2 * 40) / 8 / 10)
    assert figures.agreement is not None and figures.agreement.value == 1.0
    assert under_load(tiny_case(), loaded(), POOL, None, CALM).agreement is None


def test_a_sample_sent_often_counts_once_in_the_interval() -> None:
    alone = seen(loaded()).accuracy
    again = seen(loaded(row_sample=np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]))).accuracy
    assert again.value == alone.value
    assert again.high - again.low != pytest.approx(alone.high - alone.low)


def test_where_nothing_is_answered_nothing_is_known_of_answers() -> None:
    nothing = loaded(
        status=np.full(10, Status.BROKEN, np.int8),
        exit_stage=np.zeros(10, np.int32),
        row_label=np.full(10, -1),
        row_accepted=np.zeros(10, np.bool_),
    )
    figures = seen(nothing)
    assert (figures.accuracy.value, figures.failed, figures.good) == (0.0, 1.0, 0.0)
    assert not figures.answered_accuracy.is_known
    assert not figures.risk.is_known
    assert figures.cost is None
