"""Scores compared with those that a policy was fitted on."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import generate_latest

from cascade.policy import Policy
from serving.config import Limits, SchedulerConfig
from serving.drift import FEW_ROWS, MEMORY_ROWS, ScoreDrift
from serving.engine import Engine
from serving.messages import InferRequest
from serving.prometheus import metrics_registry
from serving.registry import Registry
from tests.serving.scheduling.test_scheduler import cascade
from tests.serving.test_answer_always import Fallible

TENTHS = np.linspace(0, 1, 11)


def seen(drift: ScoreDrift, scores: np.ndarray) -> float | None:
    drift.add(drift.binned(scores))
    return drift.index


def test_rows_fall_into_bins_that_hold_their_upper_edge() -> None:
    drift = ScoreDrift([0.0, 0.25, 0.5, 0.75, 1.0])
    assert drift.binned(np.array([-1.0, 0.25, 0.26, 0.5, 0.9, 7.0])).tolist() == [2, 2, 0, 2]
    assert drift.expected.tolist() == [0.25] * 4


def test_quantiles_that_are_equal_are_one_wider_bin() -> None:
    drift = ScoreDrift([0.0, 0.5, 1.0, 1.0, 1.0])
    assert drift.edges.tolist() == [0.5, 1.0]
    assert drift.expected.tolist() == [0.25, 0.5, 0.25]


def test_scores_as_expected_have_a_small_index_and_others_a_large_one() -> None:
    rng = np.random.default_rng(0)
    assert seen(ScoreDrift(TENTHS), rng.random(5000)) == pytest.approx(0, abs=0.02)
    assert (seen(ScoreDrift(TENTHS), rng.random(5000) ** 3) or 0) > 0.5


def test_the_index_is_as_its_formula_has_it() -> None:
    drift = ScoreDrift([0.0, 0.5, 1.0])
    index = seen(drift, np.repeat([0.2, 0.7], [300, 100]))
    p = np.array([300.5, 100.5]) / 401
    assert index == pytest.approx(((p - 0.5) * np.log(p / 0.5)).sum())


def test_few_rows_have_none() -> None:
    drift = ScoreDrift(TENTHS)
    assert seen(drift, np.full(FEW_ROWS - 1, 0.5)) is None
    assert seen(drift, np.array([0.5])) is not None


def test_what_was_long_ago_is_forgotten_by_the_index_alone() -> None:
    drift, even = ScoreDrift(TENTHS), np.tile(TENTHS[1:], 100)
    high = seen(drift, np.full(int(MEMORY_ROWS), 0.95))
    for _ in range(80):
        seen(drift, even)
    assert high is not None
    assert high > 1
    assert drift.index == pytest.approx(0, abs=0.02)
    assert drift.counts.sum() == MEMORY_ROWS + 80 * len(even)


def test_the_server_counts_first_stage_scores_and_tells_what_is_expected() -> None:
    evidence = {"score_quantiles": [0.5, 0.6, 0.8, 0.9, 1.0], "forwarded": [0.25]}
    policy = Policy(kind="threshold", num_stages=2, thresholds=(0.7,), evidence=evidence)

    async def scenario() -> list[str]:
        served = cascade(("first",), ("second",), members=[Fallible("first"), Fallible("second")])
        described = replace(served.cascade, policies={"t": policy}, default_policy="t")
        registry = Registry({"c": replace(served, cascade=described)})
        engine = Engine(registry, SchedulerConfig(num_workers=1), Limits())
        engine.start()
        logits = np.log(np.array([[0.55, 0.85, 0.95, 0.95]]).T / np.array([[0.45, 0.15, 0.05, 0.05]]).T)
        await engine.infer(InferRequest("c", "", {"x": logits.astype(np.float32)}, {"x": "FP32"}))
        engine.stop()
        return generate_latest(metrics_registry(engine)).decode().splitlines()

    lines = asyncio.run(asyncio.wait_for(scenario(), 20))
    bounds = {"0.6": "1.0", "0.8": "1.0", "0.9": "2.0", "+Inf": "4.0"}
    for bound, count in bounds.items():
        assert f'exitgate_score_bucket{{le="{bound}",model="c",policy="t"}} {count}' in lines
    assert 'exitgate_expected_forwarded_share{model="c",policy="t",stage="1"} 0.25' in lines
    assert 'exitgate_forwarded_rows_total{model="c",policy="t",stage="1"} 1.0' in lines
    assert 'exitgate_macs_total{model="c"} 5.0' in lines
    assert 'exitgate_full_macs_total{model="c"} 8.0' in lines
    assert not any(line.startswith("exitgate_score_drift{") for line in lines)
    assert 'exitgate_latency_seconds_bucket{le="+Inf",model="c",stage="2"} 1.0' in lines
    assert 'exitgate_latency_seconds_bucket{le="0.0005",model="c",stage="2"} 0.0' in lines


@pytest.mark.parametrize(
    "quantiles", [None, "0,1", [1.0], [1.0, 0.5], [0.1, True], [0.1, float("nan")], [0, "1"]]
)
def test_evidence_that_makes_no_sense_expects_nothing(quantiles: object) -> None:
    policy = Policy(
        kind="full", num_stages=4, evidence={"score_quantiles": quantiles, "forwarded": quantiles}
    )
    assert (policy.known_scores, policy.known_forwarded) == (None, None)
