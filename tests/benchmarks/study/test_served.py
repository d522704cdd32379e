"""Which cascades are served, and what a model costs alone."""

import pytest

from benchmarks.study.served import _ratios, cascades, driven, model_cpu_ms
from benchmarks.study.sizes import SIZES

SMALL = SIZES["small"]


def test_cascades_are_made_of_the_files_of_those_before() -> None:
    made = {each.name: each for each in cascades(SMALL)}
    names = list(made)
    assert names[:3] == ["resnet8x0.5-of-3", "resnet8-of-3", "resnet8x1.5-of-3"]
    assert made["resnet8"].arguments[:3] == (
        "add",
        "runs/study/small/repository/resnet8-of-3-0/1/model.onnx",
        "runs/study/small/repository/resnet8-of-3-1/1/model.onnx",
    )
    quantised = made["resnet8x1.5-int8"]
    assert quantised.stage_models == ("resnet8x1.5:int8", "resnet8x1.5")
    assert quantised.arguments[-2:] == ("--stages", "0:int8;1")
    assert made["resnet8-resnet8x1.5"].stage_models == ("resnet8", "resnet8x1.5")
    assert [name for name in names if name not in [each.name for each in driven(SMALL)]] == names[:2]


def test_a_model_alone_costs_what_its_cascade_of_two_costs_after_stage_1() -> None:
    part = {
        "cases": [
            {"cascade": "a", "policy": "first", "stage_models": ["a", "a"], "cpu_ms": 0.2},
            {"cascade": "a", "policy": "full", "stage_models": ["a", "a"], "cpu_ms": 0.4},
            {"cascade": "a-of-3", "policy": "first", "stage_models": ["a", "a", "a"], "cpu_ms": 0.3},
            {"cascade": "a-int8", "policy": "first", "stage_models": ["a:int8", "a"], "cpu_ms": 0.1},
        ]
    }
    assert model_cpu_ms(part) == {"a": 0.2}


def test_ratios_are_to_the_first_stage_at_the_same_load() -> None:
    found = _ratios({"cpu_ms": 0.3, "cpu_ms_alone": 1.5}, {"cpu_ms": 0.2, "cpu_ms_alone": 1.0})
    assert found == {"cpu_ratio": pytest.approx(1.5), "cpu_alone_ratio": pytest.approx(1.5)}
