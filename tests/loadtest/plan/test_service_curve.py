import pytest

from loadtest.errors import ConfigError
from loadtest.plan.errors import PlanError, UnseenMember
from loadtest.plan.service_curve import ServiceCurve, fit_service_curve, member_curves
from loadtest.wire.model_statistics import Batches, ModelStatistics


def batches(means_ms: dict[int, float], counts: dict[int, int] | int = 10) -> dict[int, Batches]:
    """Of each size its mean milliseconds, and how often it ran."""
    of = counts if isinstance(counts, dict) else dict.fromkeys(means_ms, counts)
    return {n: Batches(count=of[n], seconds=of[n] * ms / 1e3) for n, ms in means_ms.items()}


def total_s(curve: ServiceCurve, seen: dict[int, Batches]) -> float:
    return sum(batch.count * curve.seconds(size) for size, batch in seen.items())


def test_a_line_is_found_again_and_carried_beyond_what_was_seen() -> None:
    curve = fit_service_curve(batches({2: 1.2, 8: 1.8, 16: 2.6}))
    assert curve.per_batch_s == pytest.approx(1e-3)
    assert curve.per_row_s == pytest.approx(1e-4)
    assert curve.seconds(1) == pytest.approx(1.1e-3)
    assert curve.seconds(32) == pytest.approx(4.2e-3)
    assert curve.rows_per_s(32) == pytest.approx(32 / 4.2e-3)


def test_sizes_count_as_often_as_they_ran() -> None:
    """One batch that met a hiccup of the machine, among thousands, hardly moves the line."""
    seen = batches({1: 1.0, 9: 1.8, 8: 20.0}, {1: 3000, 9: 3000, 8: 1})
    assert fit_service_curve(seen).seconds(8) == pytest.approx(1.7e-3, rel=0.01)


@pytest.mark.parametrize(
    "means_ms", [{1: 1.0, 4: 1.5, 9: 1.7}, {1: 2.0, 4: 1.5, 9: 1.0}, {1: 0.1, 4: 1.0, 9: 9.0}]
)
def test_all_executions_together_take_on_the_curve_what_they_took(means_ms: dict[int, float]) -> None:
    seen = batches(means_ms, {1: 50, 4: 20, 9: 7})
    taken_s = sum(batch.seconds for batch in seen.values())
    assert total_s(fit_service_curve(seen), seen) == pytest.approx(taken_s)


def test_a_larger_batch_is_never_faster() -> None:
    curve = fit_service_curve(batches({1: 2.0, 16: 1.0}))
    assert curve.per_row_s == 0
    assert curve.seconds(1) == curve.seconds(32) == pytest.approx(1.5e-3)


def test_no_batch_takes_less_than_nothing() -> None:
    curve = fit_service_curve(batches({1: 0.1, 2: 1.0, 16: 16.0}))
    assert curve.per_batch_s == pytest.approx(0, abs=1e-12)
    assert curve.per_row_s == pytest.approx(17.1e-3 / 19)


def test_where_one_size_was_seen_nothing_better_is_promised_for_others() -> None:
    curve = fit_service_curve(batches({8: 4.0}))
    assert [curve.seconds(n) for n in (1, 8, 32)] == pytest.approx([4e-3, 4e-3, 16e-3])


def test_a_member_that_was_not_seen_is_named() -> None:
    statistics = {"a": ModelStatistics(batches=batches({1: 1.0, 2: 1.5})), "b": ModelStatistics(rows=5)}
    assert member_curves(statistics, ["a"])["a"].seconds(3) == pytest.approx(2e-3)
    for name in ("b", "c"):
        with pytest.raises(UnseenMember, match=f"'{name}'"):
            member_curves(statistics, ["a", name])
    assert issubclass(UnseenMember, PlanError)


def test_sizes_without_an_execution_are_not_seen() -> None:
    seen = batches({1: 1.0, 2: 1.5}) | {4: Batches(count=0, seconds=0.0)}
    assert fit_service_curve(seen).seconds(4) == pytest.approx(2.5e-3)
    with pytest.raises(ValueError, match="no batch"):
        fit_service_curve({4: Batches(count=0, seconds=0.0)})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"per_batch_s": -1.0}, "per_batch_s -1"),
        ({"per_batch_s": float("nan")}, "per_batch_s nan"),
        ({"per_batch_s": 1.0, "spread": -0.1}, "spread -0.1"),
        ({"per_batch_s": 0.0}, "both 0"),
        ({"per_batch_s": 1.0, "least_rows": 0}, "least_rows 0"),
    ],
)
def test_a_curve_checks_itself(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        ServiceCurve(**wrong)  # type: ignore[arg-type]
