from typing import Any

import numpy as np
import pytest

from loadtest.figures.quality import judge, num_disagreements
from loadtest.measure.census import Census
from loadtest.measure.server_usage import ServerUsage
from loadtest.traffic.samples import Samples
from loadtest.wire.model_statistics import ModelStatistics
from loadtest.wire.rows import Rows
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_cases import tiny_case

LABELS = np.array([0, 1, 0, 1, 0, 1, 0, 1])


def rows(**changes: Any) -> Rows:
    """Two of eight rows are wrong (0 and 4), one of these rejected; half leave at stage 2."""
    parts = {
        "probabilities": np.zeros((8, 2), np.float32),
        "label": np.array([1, 1, 0, 1, 1, 1, 0, 1]),
        "score": np.linspace(0.1, 0.8, 8, dtype=np.float32),
        "confidence": np.linspace(0.1, 0.8, 8, dtype=np.float32),
        "accepted": np.array([False, True, True, True, True, True, True, False]),
        "exit_stage": np.array([1, 2, 1, 2, 1, 2, 1, 2], np.int32),
        "exit_reason": np.array(["window", "last"] * 4),
    }
    return Rows(**{**parts, **changes})  # type: ignore[arg-type]


def usage(**executed: int) -> ServerUsage:
    """Rows by name, _ for -."""
    named = {name.replace("_", "-"): ModelStatistics(rows=rows) for name, rows in executed.items()}
    return ServerUsage(statistics=named)


def census(**changes: Any) -> Census:
    parts: dict[str, Any] = {"case": tiny_case(), "rows": rows(), "usage": usage(tiny=8, tiny_0=8, tiny_1=4)}
    return Census(**{**parts, **changes})


def samples(groups: np.ndarray | None = None) -> Samples:
    return Samples(
        inputs=(NamedTensor("x", "FP32", np.zeros((8, 2), np.float32)),), labels=LABELS, groups=groups
    )


def test_shares_exits_and_cost() -> None:
    quality = judge(census(), samples())
    assert quality.accuracy.value == 6 / 8
    assert quality.coverage.value == 6 / 8
    assert quality.risk.value == pytest.approx(1 / 6)
    assert quality.exits == (0.5, 0.5)
    assert quality.exit_reasons == {"window": 4, "last": 4}
    assert quality.cost_macs == 10 + 0.5 * 30
    assert quality.cost == 2.5
    # Wilson (1927) for 6 of 8, and for 1 of the 6 accepted.
    assert (quality.accuracy.low, quality.accuracy.high) == pytest.approx((0.4093, 0.9285), abs=1e-4)
    assert (quality.risk.low, quality.risk.high) == pytest.approx((0.0301, 0.5635), abs=1e-4)


def test_copies_of_one_source_widen_the_interval() -> None:
    alone = judge(census(), samples()).accuracy
    copies = judge(census(), samples(np.array([0, 1, 2, 3, 0, 1, 2, 3]))).accuracy
    assert copies.value == alone.value
    assert copies.high - copies.low > alone.high - alone.low


def test_risk_is_unknown_where_nothing_is_accepted() -> None:
    nobody = rows(accepted=np.zeros(8, np.bool_))
    quality = judge(census(rows=nobody), samples())
    assert quality.coverage.value == 0
    assert not quality.risk.is_known


def test_the_server_s_own_count_checks_the_cost() -> None:
    seen = judge(census(), samples()).cost_check
    assert seen is not None and seen.is_match
    check = judge(census(usage=usage(tiny_0=8, tiny_1=5)), samples()).cost_check
    assert check is not None and not check.is_match
    assert (check.reported_macs, check.executed_macs) == (25.0, 10 + 30 * 5 / 8)


def test_rows_out_of_distribution_count_in_their_own_share_alone() -> None:
    strange = rows(accepted=np.array([True] + [False] * 7))
    ood = Samples(inputs=samples().inputs)
    quality = judge(census(ood=strange), samples(), ood)
    assert quality.ood_accepted is not None and quality.ood_accepted.value == 1 / 8
    assert quality.accuracy.value == 6 / 8


def test_a_cost_that_others_share_can_t_be_checked() -> None:
    check = judge(census(usage=usage(tiny=9, tiny_0=9, tiny_1=4)), samples()).cost_check
    assert check is not None and check.is_match is None
    assert check.obstacle == "other traffic reached the server"


def test_agreement_is_with_the_labels_of_all_members() -> None:
    quality = judge(census(), samples(), reference=np.array([1, 1, 0, 1, 0, 0, 0, 1]))
    assert quality.agreement is not None and quality.agreement.value == 6 / 8
    assert judge(census(), samples()).agreement is None


def test_a_plain_model_has_no_cost() -> None:
    plain = census(case=tiny_case(is_plain=True), rows=rows(exit_stage=np.ones(8, np.int32)))
    quality = judge(plain, samples())
    assert (quality.cost, quality.cost_macs, quality.cost_check) == (None, None, None)
    assert quality.exits == (1.0,)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": np.array([0, 1, 0, 1, 1, 1, 0, 1])},
        {"accepted": np.array([True, True, True, True, True, True, True, False])},
        {"exit_stage": np.array([2, 2, 1, 2, 1, 2, 1, 2], np.int32)},
    ],
)
def test_one_row_that_differs_in_anything_that_counts_is_a_disagreement(changes: dict[str, Any]) -> None:
    assert num_disagreements(census(), census(rows=rows(**changes))) == 1


def test_scores_may_differ_in_their_last_bits() -> None:
    assert num_disagreements(census(), census(rows=rows(score=rows().score + 1e-6))) == 0
