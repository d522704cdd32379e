from dataclasses import replace

import pytest

from loadtest.errors import ConfigError
from loadtest.plan.errors import Unattainable
from loadtest.plan.replicas import Demand, Objective, plan_replicas, plan_with_full, replicas_for_load
from loadtest.plan.service_curve import ServiceCurve
from loadtest.plan.simulation import simulate
from tests.loadtest.plan.cascades import CONSTANT_1MS, in_line, one_member

# A full batch of 10 takes 2 ms, 5,000 rows a second; one of 1 row 1.1 ms.
CURVE = ServiceCurve(per_batch_s=1e-3, per_row_s=1e-4)
PIPELINE = in_line([CURVE] * 3, [0.7, 0.2, 0.1], rows=10)
FEW = Demand(rate=10_000, num_requests=3_000)


def test_the_load_alone_asks_for_what_full_batches_can_take() -> None:
    """Of 10,000 rows a second 3,000 reach b and 1,000 c; 4,000 are 80% of a replica's."""
    assert replicas_for_load(PIPELINE, FEW, 0.8) == {"a": 3, "b": 1, "c": 1}
    assert replicas_for_load(PIPELINE.in_full(), FEW, 0.8) == {"a": 3, "b": 3, "c": 3}
    by_rows = replace(FEW, rate=2_000, rows_per_request=8)
    assert replicas_for_load(PIPELINE, by_rows, 0.8) == {"a": 4, "b": 2, "c": 1}
    exactly = Demand(rate=800)
    assert replicas_for_load(one_member(CONSTANT_1MS), exactly, 0.8) == {"a": 1}


def test_where_the_load_is_all_that_matters_its_number_is_planned() -> None:
    plan = plan_replicas(PIPELINE, FEW, Objective(limit_s=1.0))
    assert plan.replicas == plan.at_least == {"a": 3, "b": 1, "c": 1}
    assert plan.load == pytest.approx({"a": 10 / 15, "b": 3 / 5, "c": 1 / 5})
    assert plan.num_replicas == 5


@pytest.mark.parametrize("limit_ms", [9.0, 6.0, 4.5])
def test_no_single_replica_can_go(limit_ms: float) -> None:
    objective = Objective(limit_s=limit_ms / 1e3)
    plan = plan_replicas(PIPELINE, FEW, objective)
    assert plan.simulated.percentile_s(99) <= objective.limit_s
    for name, number in plan.replicas.items():
        if number > plan.at_least[name]:
            fewer = PIPELINE.with_replicas({**plan.replicas, name: number - 1})
            assert not objective.holds(simulate(fewer, FEW.arrivals(), FEW.seed))


def test_a_tighter_objective_takes_replicas_where_rows_wait() -> None:
    loose, tight = (plan_replicas(PIPELINE, FEW, Objective(limit_s=ms / 1e3)) for ms in (20, 4.5))
    assert tight.num_replicas > loose.num_replicas
    assert tight.replicas["a"] > tight.replicas["c"]
    assert tight.at_least == loose.at_least


def test_a_plan_holds_for_one_replica_a_batch_of_1_and_constant_service_as_theory_has_it() -> None:
    """M/D/1 at 0.5 waits 0.5 ms on average; its p99 is above that, and two replicas hardly wait."""
    demand = Demand(rate=500, num_requests=20_000)
    assert plan_replicas(one_member(), demand, Objective(limit_s=10e-3)).replicas == {"a": 1}
    assert plan_replicas(one_member(), demand, Objective(limit_s=2e-3)).replicas == {"a": 2}


def test_full_needs_more_and_the_difference_is_told() -> None:
    both = plan_with_full(PIPELINE, FEW, Objective(limit_s=50e-3))
    assert both.full is not None
    assert both.cascade.replicas == {"a": 3, "b": 1, "c": 1}
    assert both.full.replicas == {"a": 3, "b": 3, "c": 3}
    assert both.full is not None
    assert both.full.num_replicas - both.cascade.num_replicas == 4


def test_where_full_cannot_hold_the_objective_it_is_said_why() -> None:
    """Three services of 1.1 ms at least are above 3 ms; one or two, of 95% of rows, are not."""
    pipeline = in_line([CURVE] * 3, [0.7, 0.3, 0.0], rows=10)
    both = plan_with_full(pipeline, Demand(rate=100, num_requests=2_000), Objective(limit_s=3e-3))
    assert both.full is None
    assert both.why_not_full.startswith("p99 is 3.3 ms, above the 3 ms allowed, where no row waits")


def test_service_alone_above_the_objective_is_said() -> None:
    with pytest.raises(Unattainable, match=r"p99 is 3\.3 ms, above the 3\.2 ms allowed, where no row waits"):
        plan_replicas(PIPELINE, FEW, Objective(limit_s=3.2e-3))
    with pytest.raises(Unattainable, match=r"p99 is 8\.3 ms"):
        plan_replicas(replace(PIPELINE, overhead_s=(5e-3,)), FEW, Objective(limit_s=8e-3))


def test_the_most_replicas_allowed_are_a_bound() -> None:
    with pytest.raises(Unattainable, match="'a' needs 3 replicas for its load alone, over the 2 allowed"):
        plan_replicas(PIPELINE, FEW, Objective(limit_s=1.0), max_replicas=2)
    with pytest.raises(Unattainable, match="with a=3, b=3, c=3 replicas, the most allowed"):
        plan_replicas(PIPELINE, FEW, Objective(limit_s=3.4e-3), max_replicas=3)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"limit_s": 0.0}, "limit_s 0"),
        ({"limit_s": 1.0, "percent": 100.0}, "percent 100"),
        ({"limit_s": 1.0, "max_utilisation": 1.1}, "max_utilisation 1.1"),
    ],
)
def test_an_objective_checks_itself(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Objective(**wrong)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"rate": 0.0}, "rate 0"), ({"rate": 1.0, "rows_per_request": 0}, "rows_per_request 0")],
)
def test_a_demand_checks_itself(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Demand(**wrong)  # type: ignore[arg-type]
