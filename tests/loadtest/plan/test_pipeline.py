import pytest

from loadtest.errors import ConfigError
from loadtest.plan.pipeline import Member, Pipeline, Pool, cascade_pipeline
from loadtest.plan.service_curve import ServiceCurve
from tests.loadtest.plan.cascades import CONSTANT_1MS, in_line

A, B = (Member(name=name, curve=CONSTANT_1MS) for name in "ab")
ALL = Pool(members=("a", "b"), num_replicas=2)


def test_of_each_member_the_rows_that_reach_its_stage() -> None:
    curves = dict.fromkeys("abc", CONSTANT_1MS)
    pipeline = cascade_pipeline([["a"], ["b", "c"]], curves, [0.8, 0.2])
    assert pipeline.reaching == pytest.approx({"a": 1.0, "b": 0.2, "c": 0.2})
    assert pipeline.in_full().reaching == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_members_share_a_pool_of_workers_or_have_one_each() -> None:
    curves = [CONSTANT_1MS] * 2
    assert in_line(curves, [0.5, 0.5], num_workers=3).pools == (Pool(members=("a", "b"), num_replicas=3),)
    by_itself = in_line(curves, [0.5, 0.5])
    assert [pool.num_replicas for pool in by_itself.pools] == [1, 1]
    assert by_itself.with_replicas({"a": 4, "b": 2}).pools == (
        Pool(members=("a",), num_replicas=4),
        Pool(members=("b",), num_replicas=2),
    )


def test_capacity_is_that_of_full_batches() -> None:
    member = Member(name="a", curve=ServiceCurve(per_batch_s=1e-3, per_row_s=1e-3), max_batch_rows=9)
    assert member.capacity == pytest.approx(900)


@pytest.mark.parametrize(
    ("stages", "exits", "pools", "named"),
    [
        ((), (), (), "no stage"),
        (((A,), ()), (0.5, 0.5), (ALL,), "no members"),
        (((A,), (A,)), (0.5, 0.5), (ALL,), "twice"),
        (((A,), (B,)), (1.0,), (ALL,), "2 stages, but exits of 1"),
        (((A,), (B,)), (0.5, 0.4), (ALL,), "0.5, 0.4 are no shares"),
        (((A,), (B,)), (1.5, -0.5), (ALL,), "1.5, -0.5 are no shares"),
        (((A,), (B,)), (0.5, 0.5), (Pool(members=("a",), num_replicas=1),), "each of a, b once"),
        (((A,), (B,)), (0.5, 0.5), (ALL, ALL), "each of a, b once"),
    ],
)
def test_a_pipeline_checks_itself(
    stages: tuple[tuple[Member, ...], ...], exits: tuple[float, ...], pools: tuple[Pool, ...], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        Pipeline(stages=stages, exits=exits, pools=pools)


@pytest.mark.parametrize("overhead_s", [(), (-1e-3,), (float("nan"), 0.0)])
def test_an_overhead_is_no_gain(overhead_s: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="overhead_s"):
        Pipeline(stages=((A,), (B,)), exits=(0.5, 0.5), pools=(ALL,), overhead_s=overhead_s)


def test_nothing_has_less_than_one() -> None:
    with pytest.raises(ConfigError, match="a, b: 0 replicas"):
        Pool(members=("a", "b"), num_replicas=0)
    with pytest.raises(ConfigError, match="no members"):
        Pool(members=(), num_replicas=1)
    with pytest.raises(ConfigError, match="'a': max_batch_rows 0"):
        Member(name="a", curve=CONSTANT_1MS, max_batch_rows=0)
