from dataclasses import replace

import numpy as np
import pytest

from loadtest.plan.arrivals import Arrivals, given_arrivals, poisson_arrivals
from loadtest.plan.pipeline import Pipeline, cascade_pipeline
from loadtest.plan.service_curve import ServiceCurve
from loadtest.plan.simulation import simulate
from tests.loadtest.plan.cascades import CONSTANT_1MS, in_line, one_member

CURVE = ServiceCurve(per_batch_s=1e-3, per_row_s=1e-4)


def poisson(rate: float, num: int = 20_000, rows: int = 1) -> Arrivals:
    return poisson_arrivals(rate, num, np.random.default_rng(1), rows)


def at(*times_ms: float, rows: int = 1) -> Arrivals:
    return given_arrivals(np.array(times_ms) / 1e3, rows)


def latency_ms(pipeline: Pipeline, arrivals: Arrivals) -> list[float]:
    return [round(float(ms), 6) for ms in simulate(pipeline, arrivals).latency_s * 1e3]


@pytest.mark.parametrize("utilisation", [0.5, 0.8])
def test_the_mean_wait_is_that_of_theory_for_one_server_and_constant_service(utilisation: float) -> None:
    """M/D/1, by Pollaczek and Khinchine: rho / (2 (1 - rho)) services."""
    simulated = simulate(one_member(), poisson(utilisation * 1000, 200_000))
    expected_s = 1e-3 * utilisation / (2 * (1 - utilisation))
    assert simulated.loads["a"].mean_wait_s == pytest.approx(expected_s, rel=0.04)
    assert simulated.latency_s.mean() == pytest.approx(expected_s + 1e-3, rel=0.04)
    assert simulated.utilisation("a") == pytest.approx(utilisation, rel=0.02)
    assert simulated.mean_waiting("a") == pytest.approx(utilisation * 1000 * expected_s, rel=0.06)


def test_the_mean_wait_grows_with_the_spread_as_theory_has_it() -> None:
    """M/G/1: a spread of c makes the wait 1 + c^2 times as long; the mean service stays."""
    spread = replace(CONSTANT_1MS, spread=1.0)
    simulated = simulate(one_member(spread), poisson(500, 60_000))
    assert simulated.loads["a"].busy_s / 60_000 == pytest.approx(1e-3, rel=0.02)
    assert simulated.loads["a"].mean_wait_s == pytest.approx(1e-3, rel=0.08)


def test_every_row_runs_once_in_each_stage_up_to_its_exit() -> None:
    simulated = simulate(in_line([CURVE] * 3, [0.7, 0.2, 0.1], num_workers=2), poisson(300, 5_000, rows=4))
    exits = np.bincount(simulated.exit_stage, minlength=4)
    assert len(simulated.latency_s) == 5_000 and exits.sum() == 20_000
    rows = [simulated.loads[name].rows for name in "abc"]
    assert rows == [20_000, 20_000 - exits[1], exits[3]]
    assert (simulated.latency_s >= CURVE.seconds(1)).all()
    busy_s = sum(load.busy_s for load in simulated.loads.values())
    assert simulated.busy_s_per_row == pytest.approx(busy_s / 20_000)
    by_curve_s = sum(1e-3 * load.batches + 1e-4 * load.rows for load in simulated.loads.values())
    assert busy_s == pytest.approx(by_curve_s)


def test_exits_are_as_asked_for() -> None:
    simulated = simulate(in_line([CURVE] * 3, [0.7, 0.0, 0.3], num_workers=2), poisson(300))
    shares = np.bincount(simulated.exit_stage, minlength=4)[1:] / 20_000
    assert shares[1] == 0
    assert shares[0] == pytest.approx(0.7, abs=0.01)
    full = simulate(in_line([CURVE] * 3, [0.7, 0.0, 0.3]).in_full(), poisson(300, 1_000))
    assert set(full.exit_stage.tolist()) == {3}


def test_the_same_seed_gives_the_same_figures() -> None:
    pipeline = in_line([replace(CURVE, spread=0.3)] * 2, [0.7, 0.3], num_workers=2)
    pipeline = replace(pipeline, overhead_s=(1e-3, 2e-3))
    first, again = (simulate(pipeline, poisson(300, 2_000), seed=5) for _ in range(2))
    other = simulate(pipeline, poisson(300, 2_000), seed=6)
    assert first.latency_s.tolist() == again.latency_s.tolist()
    assert first.loads == again.loads
    assert first.latency_s.tolist() != other.latency_s.tolist()


def test_more_replicas_are_never_worse() -> None:
    pipeline = in_line([CURVE] * 2, [0.5, 0.5], rows=4)
    replicas = [{"a": 2, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 2}, {"a": 4, "b": 4}]
    p99_s = [simulate(pipeline.with_replicas(r), poisson(2000)).percentile_s(99) for r in replicas]
    assert p99_s == sorted(p99_s, reverse=True)
    assert p99_s[-1] < 0.8 * p99_s[0]


def test_a_replica_takes_all_that_waits_up_to_a_full_batch() -> None:
    """The first runs alone until 1 ms, the next two together until 2, the last until 3."""
    pipeline = one_member(max_batch_rows=2)
    assert latency_ms(pipeline, at(0, 0.1, 0.2, 0.3)) == [1.0, 1.9, 1.8, 2.7]
    load = simulate(pipeline, at(0, 0.1, 0.2, 0.3)).loads["a"]
    assert (load.batches, load.mean_batch_rows, load.most_waiting) == (3, 4 / 3, 3)


def test_a_request_is_done_with_its_last_row() -> None:
    assert latency_ms(one_member(CURVE, max_batch_rows=2), at(0, rows=3)) == [2.3]


def test_a_row_waits_for_the_slower_member_of_its_stage() -> None:
    curves = {"a": CONSTANT_1MS, "slow": ServiceCurve(per_batch_s=5e-3), "b": CONSTANT_1MS}
    pipeline = cascade_pipeline([["a", "slow"], ["b"]], curves, [0.0, 1.0])
    assert latency_ms(pipeline, at(0)) == [6.0]
    assert latency_ms(cascade_pipeline([["slow", "a"], ["b"]], curves, [0.0, 1.0]), at(0)) == [6.0]


def test_members_that_share_one_worker_run_one_after_the_other() -> None:
    curves = {"a": CONSTANT_1MS, "slow": ServiceCurve(per_batch_s=5e-3)}
    shared = cascade_pipeline([["a", "slow"]], curves, [1.0], num_workers=1)
    assert latency_ms(shared, at(0)) == [6.0]


def test_a_shared_worker_takes_the_member_that_has_waited_longest() -> None:
    """At 1 ms the first row is ready for b, but the second has waited for a since 0.5; b runs at 2."""
    shared = in_line([CONSTANT_1MS] * 2, [0.0, 1.0], num_workers=1, rows=1)
    assert latency_ms(shared, at(0, 0.5)) == [3.0, 3.5]


def test_an_early_member_does_not_starve_a_late_one() -> None:
    """At 2 ms the first has waited for its second member since 1, the third for its first since 1.5."""
    pipeline = in_line([CONSTANT_1MS, CONSTANT_1MS], [0.0, 1.0], num_workers=1, rows=1)
    assert latency_ms(pipeline, at(0.0, 0.5, 1.5)) == pytest.approx([3.0, 4.5, 4.5])


def test_forwarded_rows_of_different_requests_share_a_batch() -> None:
    pipeline = in_line([CONSTANT_1MS, ServiceCurve(per_batch_s=4e-3)], [0.0, 1.0])
    simulated = simulate(pipeline, at(0, 1.5, 2.5))
    assert simulated.loads["b"].batches == 2
    assert (simulated.latency_s * 1e3).tolist() == pytest.approx([5.0, 7.5, 6.5])


def test_overhead_is_added_to_latency_and_takes_nobodys_time() -> None:
    pipeline = one_member()
    slower = replace(pipeline, overhead_s=(2e-3,))
    before, after = simulate(pipeline, poisson(500, 1_000)), simulate(slower, poisson(500, 1_000))
    assert (after.latency_s - before.latency_s).tolist() == pytest.approx([2e-3] * 1_000)
    assert after.loads == before.loads
    drawn = simulate(replace(pipeline, overhead_s=(0.0, 2e-3)), poisson(500, 1_000))
    assert (drawn.latency_s - before.latency_s).mean() == pytest.approx(1e-3, rel=0.1)


def test_what_is_beyond_capacity_keeps_all_replicas_busy() -> None:
    simulated = simulate(one_member(num_workers=2), poisson(4000, 4_000))
    assert simulated.utilisation("a") == pytest.approx(1.0, abs=0.01)
    assert simulated.rows_per_s == pytest.approx(2000, rel=0.01)
